"""`bench pretrain`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewbench.cli.options import (
    DATA,
    HOW,
    MODELS,
    OUTPUT,
    TRAINING,
    DataOption,
    DeviceOption,
    JsonOption,
    OptionalThreadsOption,
    TeacherOption,
)
from fewbench.cli.out import absolute, note, print_json, say
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.data.facts import FactSet
    from fewbench.pretrain.recipe import Recipe
    from fewbench.types import ModelRef

OnUpdate = Callable[[int, dict[str, float]], None]


def pretrain(
    corpus: Annotated[
        list[str],
        typer.Option(
            "--corpus",
            metavar="PATH",
            help="documents without labels: a file, a folder or hub:NAME#COLUMN",
            rich_help_panel=DATA,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="PATH",
            help="the file or folder to write",
            rich_help_panel=OUTPUT,
            callback=absolute,
        ),
    ],
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe",
            metavar="FILE",
            help="TOML file of settings; options override it",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            metavar="MODEL",
            help="a model to continue from; default a new one",
            rich_help_panel=MODELS,
        ),
    ] = None,
    teacher: TeacherOption = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            "--tokenizer",
            metavar="MODEL",
            help="a model whose tokenizer to use",
            rich_help_panel=MODELS,
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            "--objective", metavar="NAME", help="mlm, distil or states", rich_help_panel=TRAINING
        ),
    ] = None,
    masking: Annotated[
        str | None,
        typer.Option(
            "--masking",
            metavar="NAME",
            help="random, whole-word, span, pmi, informask, token-rates or repeated; :name=value",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    context: Annotated[
        float | None,
        typer.Option(
            "--context",
            metavar="SHARE",
            help="share of each answer that the words around its row have",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(
            "--tokens", metavar="N", help="tokens to train on in all", rich_help_panel=TRAINING
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option("--batch", metavar="N", help="rows per update", rich_help_panel=TRAINING),
    ] = None,
    accumulate: Annotated[
        int | None,
        typer.Option(
            "--accumulate", metavar="N", help="forward passes per update", rich_help_panel=TRAINING
        ),
    ] = None,
    length: Annotated[
        int | None,
        typer.Option("--length", metavar="N", help="tokens per row", rich_help_panel=TRAINING),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option("--lr", metavar="RATE", help="peak learning rate", rich_help_panel=TRAINING),
    ] = None,
    layers: Annotated[
        int | None,
        typer.Option("--layers", metavar="N", help="layers of a new model", rich_help_panel=MODELS),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option("--width", metavar="N", help="width of a new model", rich_help_panel=MODELS),
    ] = None,
    heads: Annotated[
        int | None,
        typer.Option(
            "--heads", metavar="N", help="attention heads of a new model", rich_help_panel=MODELS
        ),
    ] = None,
    vocabulary: Annotated[
        int | None,
        typer.Option(
            "--vocabulary", metavar="N", help="tokens of a new tokenizer", rich_help_panel=MODELS
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            metavar="NAME",
            help="auto, float32, bfloat16 or float16",
            rich_help_panel=HOW,
        ),
    ] = None,
    evaluate_every: Annotated[
        int | None,
        typer.Option(
            "--evaluate-every",
            metavar="N",
            help="updates between measurements",
            rich_help_panel=HOW,
        ),
    ] = None,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(
            "--checkpoint-every",
            metavar="N",
            help="updates between checkpoints",
            rich_help_panel=HOW,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="random seed", rich_help_panel=HOW),
    ] = None,
    probe: Annotated[
        str | None,
        typer.Option(
            "--probe",
            metavar="FACTS",
            help="facts to ask at every measurement: lama",
            rich_help_panel=HOW,
        ),
    ] = None,
    data: DataOption = None,
    device: DeviceOption = "auto",
    threads: OptionalThreadsOption = None,
    json: JsonOption = False,
) -> None:
    """Pretrain a masked language model from documents, and write it to the folder --out.

    Interrupted at any moment, the same command continues. --corpus may be given several times.
    Weights, order and masks are drawn from --seed.
    """
    given = dict(locals())
    from fewbench.pretrain.recipe import Recipe, read_recipe

    settings = read_recipe(
        recipe, {name: value for name, value in given.items() if name in Recipe.__slots__}
    )
    refs = {"start": _model(start), "teacher": _model(teacher), "tokenizer": _model(tokenizer)}
    facts = None if probe is None else _facts(probe, data)
    report = _carry_out(settings, corpus, out, refs, facts, device, threads)
    if json:
        print_json(report)
    else:
        _say_done(out, report)


def _model(name: str | None) -> ModelRef | None:
    from fewbench.registry.pretrained import find_model

    return None if name is None else find_model(name)


def _facts(name: str, data: Path | None) -> FactSet:
    from fewbench.data.fact_files import read_facts
    from fewbench.data.task_file import declared
    from fewbench.registry.methods import task_files

    known = declared(task_files()).facts
    if name not in known:
        raise BenchError(f"unknown facts '{name}'", allowed=known, given=name, fix="bench ls tasks")
    return read_facts(known[name], data)


def _carry_out(
    recipe: Recipe,
    corpora: list[str],
    out: Path,
    refs: dict[str, Any],
    facts: FactSet | None,
    device: str,
    threads: int | None,
) -> dict[str, Any]:
    import torch

    from fewbench.plots.pretraining import save_curves
    from fewbench.pretrain.probing import FactMeasure
    from fewbench.pretrain.run import PretrainRequest, pretrain
    from fewbench.runner.devices import choose_device

    if threads:
        torch.set_num_threads(threads)
    request = PretrainRequest(recipe, corpora, out, device=choose_device(device), **refs)
    if facts is not None:
        request = replace(request, measure=FactMeasure(facts))
    with _shown(recipe) as on_update:
        report = pretrain(request, note, on_update)
    measures = ("held_out_loss", "mrr") if facts else ("held_out_loss",)
    save_curves({out.resolve().name: report["curve"]}, out / "curves.png", measures=measures)
    return report


@contextmanager
def _shown(recipe: Recipe) -> Iterator[OnUpdate]:
    """Show loss and throughput: a bar on a terminal, a line now and then elsewhere."""
    rate = _Rate(recipe.batch * recipe.length)
    if not sys.stderr.isatty():

        def line(update: int, terms: dict[str, float]) -> None:
            said = rate(update, terms)
            if update % max(1, recipe.evaluate_every // 5) == 0 or update == recipe.updates:
                note(f"[{update}/{recipe.updates}] {said}")

        yield line
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        MofNCompleteColumn(),
        BarColumn(None),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=recipe.updates)
        yield lambda update, terms: bar.update(
            task, completed=update, description=rate(update, terms)
        )


class _Rate:
    """Tokens a second and a smoothed loss, as text."""

    def __init__(self, tokens: int) -> None:
        self._tokens, self._loss = tokens, 0.0
        self._first: tuple[int, float] | None = None

    def __call__(self, update: int, terms: dict[str, float]) -> str:
        now = time.monotonic()
        if self._first is None:
            self._first, self._loss = (update, now), terms["loss"]
        self._loss += 0.05 * (terms["loss"] - self._loss)
        since, started = self._first
        rate = (update - since) * self._tokens / max(1e-9, now - started)
        return f"loss {self._loss:.3f}  {rate:,.0f} tokens/s"


def _say_done(out: Path, report: dict[str, Any]) -> None:
    first, last = report["curve"][0], report["curve"][-1]
    say(
        f"{out}: {report['parameters'] / 1e6:.2f}M parameters, "
        f"{report['tokens'] / 1e6:.1f}M tokens in "
        f"{report['seconds'] / 60:.1f} minutes\n"
        f"held-out loss {first['held_out_loss']:.3f} -> {last['held_out_loss']:.3f}, "
        f"{100 * last['held_out_accuracy']:.1f}% of masked words right\n"
        f"curves: {out / 'curves.png'}; card: {out / 'README.md'}; {out / 'work'} can be removed"
    )
