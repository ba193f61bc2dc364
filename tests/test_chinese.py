"""Chinese tasks with a model made here whose tokens are characters, as those of Chinese BERTs are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fewbench.data.task_prompts import with_prompt
from fewbench.nn.fit_context import Models
from fewbench.nn.long_words import words_model
from fewbench.nn.prompt import PromptModel
from fewbench.registry.pretrained import find_model
from fewbench.registry.tasks import choose_tasks
from fewbench.types import Example, Task

TASKS = {task.full_name: task for task in choose_tasks(["clue", "fewclue"])}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A random one-layer BERT over the characters of the tasks' templates and label words."""
    import transformers as hf
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    folder = tmp_path_factory.mktemp("chinese")
    prompts = [(task.template, task.words) for task in TASKS.values()]
    prompts += [prompt[1:] for task in TASKS.values() for prompt in task.prompts]
    characters = "、文本甲乙丙丁" + "".join(
        template + "".join(w for ws in words for w in ws) for template, words in prompts
    )
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *sorted(set(characters.lower()) - set(" ")),
    ]
    tokenizer = Tokenizer(
        models.WordPiece({piece: n for n, piece in enumerate(pieces)}, unk_token="[UNK]")
    )
    tokenizer.normalizer, tokenizer.pre_tokenizer = (
        normalizers.BertNormalizer(),
        pre_tokenizers.BertPreTokenizer(),
    )
    names = {f"{name.lower()}_token": f"[{name}]" for name in ("PAD", "UNK", "CLS", "SEP", "MASK")}
    hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    config = hf.BertConfig(vocab_size=len(pieces), max_position_embeddings=512, **sizes)
    hf.BertForMaskedLM(config).save_pretrained(folder, safe_serialization=True)
    return Models(torch.device("cpu")), find_model(str(folder), offline=True)


def prompt_model(model, task: Task) -> PromptModel:
    models, ref = model
    return PromptModel(models.fresh(ref), task).eval()


def read_words(model, task: Task) -> PromptModel:
    models, ref = model
    return words_model(models.fresh(ref), task).eval()


def an_example(task: Task) -> Example:
    texts = tuple("甲乙丙丁"[n] + "文本" for n in range(len(task.source.texts)))
    if task.format != "choice":
        return Example("test-0", texts)
    options = tuple("甲乙丙丁文本甲"[n] for n in range(len(task.labels)))
    return Example("test-0", (*texts, "")[:2], None, options)


def shown(prompted: PromptModel, example: Example) -> str:
    (tokens,) = prompted.encode([example])[0].sequences
    return "".join(prompted.backbone.tokenizer.convert_ids_to_tokens(tokens.ids))


@pytest.mark.parametrize("name", TASKS)
def test_every_label_word_has_its_masks_and_every_class_is_scored(name, model):
    for template in ("own", *(prompt.name for prompt in TASKS[name].prompts)):
        task = with_prompt(TASKS[name], template)
        prompted = read_words(model, task)
        masks = 2 if template == "ppt-words" else 1
        assert shown(prompted, an_example(task)).count("[MASK]") == masks
        assert "[UNK]" not in shown(prompted, an_example(task))
        probabilities = prompted.predict([an_example(task)]).probabilities
        assert probabilities.shape == (1, len(task.labels)) and np.isclose(probabilities.sum(), 1)


def test_what_the_model_reads(model):
    pair, choice = TASKS["cmnli@clue"], TASKS["c3@clue"]
    assert (
        shown(prompt_model(model, pair), an_example(pair))
        == "[CLS]问题：甲文本？[MASK]。乙文本[SEP]"
    )
    example = replace(
        an_example(choice), options=("甲", "乙", "丙", "")
    )  # a question of three options
    expected = "[CLS]问题：甲文本乙文本？一、甲二、乙三、丙。答案是：[MASK]。[SEP]"
    assert shown(prompt_model(model, choice), example) == expected
