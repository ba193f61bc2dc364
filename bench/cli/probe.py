"""`bench probe`."""

from __future__ import annotations

import json as encoder
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewbench.cli.options import (
    OUTPUT,
    DataOption,
    DeviceOption,
    JsonOption,
    LimitOption,
    OfflineOption,
    StudentsOption,
)
from fewbench.cli.out import absolute, note, print_json, print_list, say_wrapped
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.data.facts import FactSet
    from fewbench.measure.fact_examples import AskedFact, FactAnswer
    from fewbench.measure.fact_probe import ProbeResult
    from fewbench.measure.fact_scores import Recall, Recalls
    from fewbench.nn.load import Pretrained
    from fewbench.types import ModelRef

MARK = "*"
LIKELIEST = 3
"""Answers of a model to an example, as in thesis Table 7.5."""
SIDE_BY_SIDE = 4
"""Models in one table of 80 columns."""


def probe(
    task: Annotated[
        str,
        typer.Argument(
            metavar="FACTS", help="a set of facts (lama), or a .toml file that declares one"
        ),
    ],
    student: StudentsOption = None,
    data: DataOption = None,
    limit: LimitOption = None,
    answers: Annotated[
        int,
        typer.Option(
            "--answers",
            min=0,
            metavar="N",
            help="show N facts with each model's three likeliest answers",
            rich_help_panel=OUTPUT,
        ),
    ] = 0,
    device: DeviceOption = "auto",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="PATH",
            help="the file or folder to write",
            callback=absolute,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Ask masked language models for facts: the mean reciprocal rank of the right token.

    --student may be given several times. --limit counts per relation, the same facts for all
    models. --out also writes what --json prints.
    """
    from fewbench.data.fact_files import read_facts
    from fewbench.data.hub import go_offline
    from fewbench.registry.pretrained import find_model
    from fewbench.registry.tasks import choose_facts
    from fewbench.runner.plan import STUDENT

    if offline:
        go_offline()
    if out is not None and out.is_dir():
        raise BenchError(f"--out is a folder: {out}", fix=f"--out {out / 'probe.json'}")
    facts = read_facts(choose_facts(task), data)
    facts = facts if limit is None else facts.sample(limit)
    refs = list(dict.fromkeys(find_model(name, offline=offline) for name in student or [STUDENT]))
    from fewbench.runner.devices import (
        choose_device,
    )  # torch loads here, after what can be refused without it

    place = choose_device(device)
    loaded = _load_all(refs)
    results = dict(zip(_names(refs), _probe_all(refs, loaded, facts, place), strict=True))
    common = _common(results)
    shown = _answers(loaded, results, answers)
    report = _report(facts, refs, results, common) | {
        "device": place,
        "examples": [example.to_json() for example in shown],
    }
    if out is not None:
        _write(out, encoder.dumps(report, indent=1, ensure_ascii=False) + "\n")
    if json:
        print_json(report)
    else:
        _show(facts, results, common)
        _show_examples(shown)


def _names(refs: Sequence[ModelRef]) -> list[str]:
    """Return the models' names; two of one name are distinguished by their revisions."""
    names = [ref.name for ref in refs]
    return [
        ref.name if names.count(ref.name) == 1 else f"{ref.name}@{ref.revision[:8]}" for ref in refs
    ]


def _load_all(refs: Sequence[ModelRef]) -> list[Pretrained]:
    """Load all models, so that what cannot be had is refused before minutes are spent."""
    from fewbench.nn.load import load

    return [load(ref) for ref in refs]


def _probe_all(
    refs: Sequence[ModelRef], loaded: Sequence[Pretrained], facts: FactSet, place: str
) -> list[ProbeResult]:
    from fewbench.measure.fact_probe import ask, prepare

    questions = [prepare(tokenizer, facts) for _, tokenizer in loaded]
    results = []
    for ref, (model, _), asked in zip(refs, loaded, questions, strict=True):
        result = ask(model.to(place), asked)
        model.to("cpu")
        note(f"{ref.name}: {result.recalls.micro.n} facts in {result.seconds:.1f}s on {place}")
        results.append(result)
    return results


def _answers(
    loaded: Sequence[Pretrained], results: dict[str, ProbeResult], count: int
) -> list[AskedFact]:
    from fewbench.measure.fact_examples import asked_facts

    if not count:
        return []
    models = dict(zip(results, loaded, strict=True))
    return asked_facts(models, results, count, LIKELIEST)


def _show_examples(examples: Sequence[AskedFact]) -> None:
    """Print facts, and below each the models' answers with their probabilities."""
    for example in examples:
        say_wrapped(f"{example.text} [{example.object}]")
        for name, answers in example.answers.items():
            say_wrapped(f"{name}: {', '.join(map(_shown, answers))}")


def _shown(answer: FactAnswer) -> str:
    return f"{answer.token} {answer.probability:.2f}{' (right)' * answer.is_right}"


def _common(results: dict[str, ProbeResult]) -> dict[str, Recalls] | None:
    """Score the facts that all models can answer; None if they all have the same facts."""
    import numpy as np

    every = list(results.values())
    scored = [result.ranks > 0 for result in every]
    vocabularies = {result.questions.vocabulary for result in every}
    if len(vocabularies) == 1 and all(np.array_equal(scored[0], other) for other in scored[1:]):
        return None
    kept = np.logical_and.reduce(scored)
    return {name: result.among(kept) for name, result in results.items()}


def _report(
    facts: FactSet,
    refs: Sequence[ModelRef],
    results: dict[str, ProbeResult],
    common: dict[str, Recalls] | None,
) -> dict[str, Any]:
    """Build the report; figures are rounded and times stand apart, so that reports compare."""
    return {
        "task": facts.name,
        "version": facts.version,
        "facts": len(facts.facts),
        "duplicates": facts.duplicates,
        "unasked": facts.unasked,
        "limit": facts.limit,
        "seed": facts.seed,
        "files": [dict(file) for file in facts.files],
        "comparable": common is None,
        "models": [
            {
                "name": name,
                "revision": ref.revision,
                "vocabulary": {"size": result.questions.size, "hash": result.questions.vocabulary},
                "too_long": result.too_long,
                **_plain(facts, result.recalls),
                "common": None if common is None else _plain(facts, common[name]),
            }
            for ref, (name, result) in zip(refs, results.items(), strict=True)
        ],
        "timing": {name: {"seconds": round(result.seconds, 3)} for name, result in results.items()},
    }


def _plain(facts: FactSet, recalls: Recalls) -> dict[str, Any]:
    return {
        "macro": _figures(recalls.macro) | {"relations": recalls.averaged},
        "micro": _figures(recalls.micro),
        "relations": [
            {
                "relation": relation.id,
                "label": relation.label,
                "type": relation.type,
                "template": relation.template,
            }
            | _figures(recalls.relations[relation.id])
            for relation in facts.relations
        ],
    }


def _figures(recall: Recall) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        name: round(value, 6) if isinstance(value, float) else value
        for name, value in asdict(recall).items()
    }


def _write(out: Path, text: str) -> None:
    from fewbench.io.atomic import write_whole

    try:
        write_whole(out, text.encode())
    except OSError as error:
        raise BenchError(f"--out cannot be written: {error.strerror}", where=str(out)) from error


def _show(
    facts: FactSet, results: dict[str, ProbeResult], common: dict[str, Recalls] | None
) -> None:
    sampled = "" if facts.limit is None else f", at most {facts.limit} a relation"
    again = f", {facts.duplicates} of them repeated" if facts.duplicates else ""
    say_wrapped(
        f"{facts.name}: {len(facts.facts)} facts{again}, {len(facts.relations)} relations{sampled}"
        + _unasked(facts)
    )
    recalls = {name: result.recalls for name, result in results.items()}
    if len(recalls) == 1:
        _show_one(facts, next(iter(recalls.values())))
        return
    mark = MARK if common else ""
    names = list(recalls)
    for start in range(0, len(names), SIDE_BY_SIDE):
        _show_relations(
            facts, {name + mark: recalls[name] for name in names[start : start + SIDE_BY_SIDE]}
        )
    _show_models({name + mark: recall for name, recall in recalls.items()})
    if common:
        kept = next(iter(common.values())).micro.n
        say_wrapped(
            f"{MARK} NOT comparable: the vocabularies differ, each model is scored on the facts "
            f"whose object is one token of its own. Over the {kept} facts that all of them can "
            "answer (each ranks them in "
            "its own vocabulary):"
        )
        _show_models(common)


def _unasked(facts: FactSet) -> str:
    return f"; {facts.unasked} rows left out" if facts.unasked else ""


def _cells(recall: Recall) -> list[str]:
    figures = (recall.mrr, recall.p1, recall.p10, recall.prior)
    return [str(recall.n), str(recall.left_out), *map(_three, figures)]


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _show_one(facts: FactSet, recalls: Recalls) -> None:
    rows = [
        [relation.id, relation.label, *_cells(recalls.relations[relation.id])]
        for relation in facts.relations
    ]
    rows.append(["macro", f"mean of {recalls.averaged} relations", *_cells(recalls.macro)])
    rows.append(["micro", "all facts", *_cells(recalls.micro)])
    print_list(
        ("", "relation", "n", "left out", "MRR", "P@1", "P@10", "prior"), rows, right=range(2, 8)
    )
    say_wrapped(
        "prior: the MRR of the relation's own objects, the most frequent first "
        "(it has seen the answers)"
    )


def _show_relations(facts: FactSet, recalls: dict[str, Recalls]) -> None:
    """Print the MRR of a few models side by side."""
    rows = []
    for relation in facts.relations:
        mrrs = [_three(r.relations[relation.id].mrr) for r in recalls.values()]
        rows.append([relation.id, relation.label, *mrrs])
    rows.append(["macro", "", *(_three(r.macro.mrr) for r in recalls.values())])
    rows.append(["micro", "", *(_three(r.micro.mrr) for r in recalls.values())])
    print_list(("", "MRR of", *recalls), rows, right=range(2, 2 + len(recalls)))


def _show_models(recalls: dict[str, Recalls]) -> None:
    """Print the macro averages of every model, and its micro MRR."""
    averaged = " or ".join(dict.fromkeys(str(r.averaged) for r in recalls.values()))
    rows = [[name, *_cells(r.macro), _three(r.micro.mrr)] for name, r in recalls.items()]
    print_list(
        ("model", "n", "left out", "MRR", "P@1", "P@10", "prior", "micro"), rows, right=range(1, 8)
    )
    say_wrapped(f"macro averages, over {averaged} relations; micro: the MRR over all facts")
