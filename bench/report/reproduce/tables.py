"""The printed tables by the names that users type: `smash 2`, `thesis 4.1`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fewbench.errors import BenchError
from fewbench.report.published import CITED, Published, protocols_of

NEAREST = "lm-bff-v1"
"""The protocol in place of a paper's own, where there is none here."""

TITLES = {
    ("smash", "1"): "Fine-tuning and prompt-based fine-tuning at three sizes, K = 16",
    ("smash", "2"): "SMASH and baselines, prompt-based fine-tuning and zero-shot",
    ("smash", "3"): "T5 models, few-shot",
    ("ppt", "1"): "Hard prompts and verbalizers of prompt tuning",
    ("ppt", "2"): "Strategies to initialize prompts",
    ("ppt", "4"): "Classification with 32 training samples, English and Chinese",
    ("ppt", "5"): "Single-text classification with more than five labels",
    ("prompt-distiller", "1"): "Prompt-Distiller and baselines, few-shot distillation",
    ("prompt-distiller", "2"): "Ablation of Prompt-Distiller",
    ("prompt-distiller", "3"): "Prompt-Distiller by the student's size",
    ("thesis", "3.1"): "PABEE and others on ALBERT, development and test set of GLUE",
    ("thesis", "3.2"): "PABEE and others on BERT, development set of GLUE",
    ("thesis", "3.3"): "Training time with and without PABEE",
    ("thesis", "3.4"): "PABEE by the size of ALBERT, development set of GLUE",
    ("thesis", "3.5"): "PABEE under adversarial attack",
    ("thesis", "4.1"): "Accuracy, loyalty and robustness of compressed models, MNLI",
    ("thesis", "4.2"): "Combined compression techniques, MNLI",
    ("thesis", "4.3"): "Compression techniques, SST-2",
    ("thesis", "5.1"): "MetaDistil and others, 6 layers, development and test set of GLUE",
    ("thesis", "5.2"): "Training time and memory of MetaDistil",
    ("thesis", "5.5"): "BERT-base distilled into 4 layers, development set of GLUE",
    ("thesis", "5.6"): "BERT-large distilled into 6 layers, development set of GLUE",
    ("thesis", "6.2"): "AMuLaP and others in three settings",
    ("thesis", "6.4"): "Ablation of AMuLaP",
    ("thesis", "7.3"): "Masking strategies, LAMA",
    ("thesis", "7.4"): "Masking strategies, fine-tuned on SQuAD",
    ("thesis", "7.5"): "Answers to five facts of LAMA, the three likeliest of each model",
}
"""What each table is about."""


@dataclass(frozen=True, slots=True)
class PrintedTable:
    """The numbers of one table of one paper, which is called by its short name."""

    paper: str
    table: str
    numbers: tuple[Published, ...]

    @property
    def name(self) -> str:
        """The name to show a person."""
        return f"{self.paper} Table {self.table}"

    @property
    def title(self) -> str:
        """A line on what it shows; empty for tables of a user's own."""
        return TITLES.get((self.paper, self.table), "")

    @property
    def backbones(self) -> list[str]:
        """The models that it names, in its order."""
        return list(dict.fromkeys(filter(None, (number.backbone for number in self.numbers))))

    @property
    def protocol(self) -> str:
        """The protocol that its numbers were made by, or empty where there is none of it here."""
        own = protocols_of(self.numbers[0].paper, self.table)
        return own[0] if own else ""


def printed_tables(numbers: Iterable[Published]) -> list[PrintedTable]:
    """Group numbers into their tables, in their order."""
    groups: dict[tuple[str, str], list[Published]] = {}
    for number in numbers:
        paper = CITED.get(number.paper, number.paper)
        groups.setdefault((paper, number.table), []).append(number)
    return [PrintedTable(*place, tuple(group)) for place, group in groups.items()]


def of_paper(tables: Sequence[PrintedTable], paper: str) -> list[PrintedTable]:
    """Return the tables of a paper, by its short name or its full one.

    Raises:
        BenchError: no such paper.
    """
    short = CITED.get(paper, paper)
    found = [table for table in tables if table.paper == short]
    if not found:
        raise BenchError(
            f"no tables of a paper '{paper}' are stored",
            allowed={table.paper for table in tables},
            given=paper,
            fix="bench reproduce lists papers and their tables",
        )
    return found


def find_table(tables: Sequence[PrintedTable], paper: str, table: str) -> PrintedTable:
    """Return one table of a paper.

    Raises:
        BenchError: no such paper, or no such table of it.
    """
    by_number = {found.table: found for found in of_paper(tables, paper)}
    if table not in by_number:
        raise BenchError(
            f"no table '{table}' of {paper} is stored",
            allowed=by_number,
            given=table,
            fix=f"bench reproduce {paper} lists its tables; results/published/README.md says "
            "which are left out, and why",
        )
    return by_number[table]
