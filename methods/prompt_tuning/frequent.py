"""Find the most frequent words of a corpus, to start a soft prompt from: ppt, Table 2, "Top-1000".

The paper says "the most frequent 1000 words in the pre-training corpus". Here they are words of one
token, as label words are, for a soft token starts at one embedding. A Chinese character is a word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from fewbench.data.documents import Document
from fewbench.nn.prompt_pieces import word_pieces

WORD = re.compile(r"[\u4e00-\u9fff]|[^\W\d_\u4e00-\u9fff]+")


def frequent_tokens(documents: Iterable[Document], tokenizer: Any, most: int = 1000) -> list[int]:
    """List the tokens of a corpus's most frequent words, the most frequent first.

    Words that are one token together (an uncased vocabulary's "The" and "the") are counted
    together. Of equal counts the word that stands first in the alphabet goes first.

    Args:
        documents: of the corpus.
        tokenizer: says which words are one token.
        most: the length of the list, or fewer if the corpus has fewer such words.
    """
    words: Counter[str] = Counter()
    for document in documents:
        for sentence in document:
            words.update(WORD.findall(sentence))
    tokens: Counter[int] = Counter()
    for word, count in sorted(words.items()):
        pieces = word_pieces(tokenizer, word)
        if len(pieces) == 1 and pieces[0] != tokenizer.unk_token_id:
            tokens[pieces[0]] += count
    return [token for token, _ in tokens.most_common(most)]
