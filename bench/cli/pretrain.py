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

from fewbench.cli.options import DataOption, JsonOption
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
            "--corpus", help="a file or folder of documents, or hub:NAME#COLUMN; once for each"
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="the model folder to write; the same again goes on with it",
            callback=absolute,
        ),
    ],
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="a TOML file of settings; options here go first")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--start", help="a model to continue from; default a new one")
    ] = None,
    teacher: Annotated[str | None, typer.Option("--teacher", help="a model to distil")] = None,
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", help="a model whose tokenizer to use")
    ] = None,
    objective: Annotated[
        str | None, typer.Option("--objective", help="mlm, distil or states")
    ] = None,
    masking: Annotated[
        str | None,
        typer.Option(
            "--masking", help="random, whole-word, span, pmi, informask, token-rates; :name=value"
        ),
    ] = None,
    context: Annotated[
        float | None,
        typer.Option(
            "--context", help="the share of each answer that the words around its row have"
        ),
    ] = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens", help="tokens to train on in all")
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="rows an update")] = None,
    accumulate: Annotated[
        int | None, typer.Option("--accumulate", help="forward passes an update")
    ] = None,
    length: Annotated[int | None, typer.Option("--length", help="tokens a row")] = None,
    lr: Annotated[float | None, typer.Option("--lr", help="peak learning rate")] = None,
    layers: Annotated[int | None, typer.Option("--layers", help="of a new model")] = None,
    width: Annotated[int | None, typer.Option("--width", help="of a new model")] = None,
    heads: Annotated[int | None, typer.Option("--heads", help="of a new model")] = None,
    vocabulary: Annotated[
        int | None, typer.Option("--vocabulary", help="tokens of a new tokenizer")
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="auto, float32, bfloat16, float16")
    ] = None,
    evaluate_every: Annotated[int | None, typer.Option("--evaluate-every", help="updates")] = None,
    checkpoint_every: Annotated[
        int | None, typer.Option("--checkpoint-every", help="updates")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="of weights, order and masks")] = None,
    probe: Annotated[
        str | None, typer.Option("--probe", help="facts to ask at every measurement: lama")
    ] = None,
    data: DataOption = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:0")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="default one a core")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Pretrain a masked language model from documents. Killed at any moment, the same command goes
    on.
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
    from fewbench.data.facts import read_facts
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
    from fewbench.runner.local import choose_device

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
        f"{out}: {report['parameters'] / 1e6:.2f}M parameters, {report['tokens'] / 1e6:.1f}M tokens in "
        f"{report['seconds'] / 60:.1f} minutes\n"
        f"held-out loss {first['held_out_loss']:.3f} -> {last['held_out_loss']:.3f}, "
        f"{100 * last['held_out_accuracy']:.1f}% of masked words right\n"
        f"curves: {out / 'curves.png'}; card: {out / 'README.md'}; {out / 'work'} can be removed"
    )
