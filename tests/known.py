"""A few facts for tests of the probe, with answers the tiny models have, share, lack or would need
two tokens for.
"""

from __future__ import annotations

from fewbench.data.facts import Fact, FactSet, Relation

WAS = Relation("P1", "[X] was [Y] .", "was", "N-1")
OF = Relation("P2", "[Y] and [X] is it", "of", "N-M")
FACTS = (
    Fact("P1", "the film", "great"),
    Fact("P1", "the film", "Dull"),  # one text, two answers; the tokenizer lower-cases
    Fact("P1", "a cat", "great"),
    Fact("P1", "a long plot , a poor plot , a dull plot", "boring"),
    Fact("P1", "the dog", "sunny"),  # s ##u ##n ##n ##y
    Fact("P2", "acting", "movie"),
    Fact("P2", "the mat", "no cat"),  # two words
    Fact("P2", "the mat", "☃"),  # not in the vocabulary
    Fact("P2", "answer", "yes"),
    Fact("P2", "answer", "yes"),
)
KNOWN = FactSet("known", 1, (WAS, OF), FACTS, 1)
