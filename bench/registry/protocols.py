"""The protocols: those of the project (`protocols.toml`), and a user's own by path."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from fewbench.data.dev_cut import USUAL_CUT, DevCut
from fewbench.data.train_size import ALLOWED, is_full, is_k
from fewbench.errors import BenchError
from fewbench.io import toml
from fewbench.io.toml import REQUIRED, TomlTable
from fewbench.registry.protocol import Protocol, SizeRates, Tie
from fewbench.types import Format, K, Task

FILE = Path(__file__).parent / "protocols.toml"
GUIDE = "see CONTRIBUTING.md, 'Add a protocol in one table'"
FULL_PROTOCOL = "full"
"""The protocol of full data unless another is named."""

SCHEDULES = ("linear", "constant")


def protocols() -> dict[str, Protocol]:
    """Return every protocol of the project by name."""
    return load_protocols(FILE)


def ddofs() -> dict[str, int]:
    """Return by protocol what its standard deviations take off the number of seeds."""
    return {name: protocol.ddof for name, protocol in protocols().items()}


def get_protocol(name: str) -> Protocol:
    """Return a protocol: by name, or that of a user's own `FILE.toml` or `FILE.toml#NAME`.

    Raises:
        BenchError: no such name, or a mistake in the file.
    """
    path, _, chosen = name.partition("#")
    if path.endswith(".toml"):
        return _own(Path(path), chosen)
    known = protocols()
    if name not in known:
        raise BenchError(
            f"unknown protocol '{name}'",
            allowed=[*known, "FILE.toml"],
            given=name,
            fix="bench ls protocols",
        )
    return known[name]


def check_fits(ks: Iterable[K], protocol: Protocol) -> None:
    """Refuse full data in a protocol that counts updates: they would read a part of it.

    Raises:
        BenchError: such a K.
    """
    if protocol.epochs is None and any(is_full(k) for k in ks):
        able = [name for name, other in protocols().items() if is_full(other.k)]
        raise BenchError(
            f"the protocol '{protocol.name}' trains for {protocol.max_steps} updates, "
            "which is for few-shot data, and K is full",
            allowed=[*able, "a FILE.toml with epochs"],
            fix=f"--k full --protocol {FULL_PROTOCOL}",
        )


def dev_cut_of(name: str) -> DevCut:
    """Return the dev cut of a stored run's protocol; the usual one if it is a user's own."""
    known = protocols()
    return known[name].dev_cut if name in known else USUAL_CUT


def fitted(task: Task, name: str) -> Task:
    """Return a stored run's task with the maximum length of its protocol, if that is known."""
    known = protocols()
    return known[name].fitted(task) if name in known else task


def _own(path: Path, chosen: str) -> Protocol:
    """Return the protocol of a user's file; no protocol of the project may have its name."""
    if not path.is_file():
        raise BenchError(f"no such protocol file: {path}", fix="bench ls protocols")
    found = load_protocols(path)
    if not chosen and len(found) != 1:
        raise BenchError(
            f"this file has {len(found)} protocols, and a run has one",
            where=str(path),
            allowed=[f"{path}#{name}" for name in found],
        )
    name = chosen or next(iter(found))
    if name not in found:
        raise BenchError(
            f"there is no protocol '{name}' in this file",
            where=str(path),
            allowed=[f"{path}#{other}" for other in found],
            given=f"{path}#{name}",
        )
    if name in protocols():
        raise BenchError(
            f"'{name}' is the name of a protocol of the project",
            where=f"{path} [{name}]",
            fix=f"another name, such as [my-{name}]",
        )
    return replace(found[name], file=str(path.absolute()))


def load_protocols(path: Path) -> dict[str, Protocol]:
    """Read the protocols of a TOML file, a table for each, by name.

    Raises:
        BenchError: the file is not TOML, or a table has a mistake.
    """
    tables = toml.load(path)
    return {name: _protocol(TomlTable(path, name, table, GUIDE)) for name, table in tables.items()}


def _protocol(table: TomlTable) -> Protocol:
    """Read one table; training is counted in updates, or with `epochs` in passes over train."""
    in_epochs = table.has("epochs")
    protocol = Protocol(
        name=table.name,
        title=table.take("title", str),
        paper=table.take("paper", str),
        k=_k(table),
        seeds=_seeds(table),
        grid=_grid(table),
        max_steps=0 if in_epochs else table.positive("max_steps"),
        eval_every=_number(table, "eval_every", int, 1, default=0 if in_epochs else REQUIRED),
        schedule=_one_of(table, "schedule", SCHEDULES),
        warmup_steps=_number(table, "warmup_steps", int, 0, default=0),
        weight_decay=_number(table, "weight_decay", float, 0),
        max_grad_norm=_number(table, "max_grad_norm", float, 0),
        eval_batch_size=table.positive("eval_batch_size"),
        checkpoint_tie=_one_of(table, "checkpoint_tie", get_args(Tie)),
        trial_tie=_one_of(table, "trial_tie", get_args(Tie)),
        ddof=_number(table, "ddof", int, 0),
        prepare=table.take("prepare", dict, {}),
        grows_from=_number(table, "grows_from", int, 2, default=None),
        patience=_number(table, "patience", int, 1, default=None),
        micro_batch=_number(table, "micro_batch", int, 1, default=None),
        length_window=_number(table, "length_window", int, 0, default=0),
        steps_by_k=_steps_by_k(table),
        max_length=_max_length(table),
        sizes=_sizes(table),
        **(_epochs(table) if in_epochs else {}),
    )
    table.finish()
    return protocol


def _epochs(table: TomlTable) -> dict[str, Any]:
    """Read what protocols of full data have, which count in epochs."""
    return {
        "epochs": _number(table, "epochs", float, 0, above=True),
        "evals_per_epoch": _number(table, "evals_per_epoch", int, 1, default=1),
        "warmup_share": _number(table, "warmup_share", float, 0, most=1, default=None),
        "dev_share": _number(table, "dev_share", float, 0, above=True, most=0.5, default=0.1),
        "dev_most": _number(table, "dev_most", int, 1, default=2000),
    }


def _number(
    table: TomlTable,
    key: str,
    kind: type[int] | type[float],
    least: float,
    *,
    above: bool = False,
    most: float = math.inf,
    default: Any = REQUIRED,
) -> Any:
    """Take a number from `least` (or `above` it) to `most`."""
    value = table.take(key, int if kind is int else (int, float), default)
    if (
        value is None
        or value == default
        or (least <= value <= most and not (above and value == least))
    ):
        return value if value is None else kind(value)
    limit = f"above {least}" if above else f"{least} or more"
    raise table.error(
        key, f"'{key}' is {value}", allowed=limit + ("" if most == math.inf else f", up to {most}")
    )


def _one_of(table: TomlTable, key: str, allowed: Iterable[str]) -> Any:
    value = table.take(key, str)
    if value not in allowed:
        raise table.error(key, f"'{key}' is '{value}'", allowed=allowed, given=value)
    return value


def _k(table: TomlTable) -> K:
    value: K = table.take("k", (int, str))
    if not is_k(value) or (isinstance(value, int) and value < 1):
        raise table.error("k", f"'k' is {value!r}", allowed=ALLOWED)
    return value


def _seeds(table: TomlTable) -> tuple[int, ...]:
    seeds = table.take("seeds", list, of=int)
    wrong = [seed for seed in seeds if not 0 <= seed < 2**32]
    if wrong or not seeds or len(set(seeds)) != len(seeds):
        raise table.error(
            "seeds", f"'seeds' is {seeds}", allowed="different numbers from 0 to 4294967295"
        )
    return tuple(seeds)


def _grid(table: TomlTable) -> dict[str, tuple[Any, ...]]:
    """Take the values of each setting that trials vary."""
    grid = {}
    for name, values in table.take("grid", dict).items():
        if not isinstance(values, list) or not values:
            raise table.error(
                "grid", f"'{name}' is {values!r}", allowed=f"a list of values: {name} = [1e-5]"
            )
        grid[name] = tuple(values)
    return grid


def _steps_by_k(table: TomlTable) -> Mapping[int, int]:
    """Take the updates by K; a TOML key is a text."""
    steps = {}
    for k, value in table.take("steps_by_k", dict, {}).items():
        if not k.isdecimal() or not isinstance(value, int) or int(k) < 1 or value < 1:
            raise table.error(
                "steps_by_k", f"{k} = {value!r}", allowed="updates by K: { 16 = 1000, 64 = 2000 }"
            )
        steps[int(k)] = value
    return steps


def _max_length(table: TomlTable) -> Mapping[str, int]:
    lengths: dict[str, int] = table.take("max_length", dict, {})
    for form, length in lengths.items():
        if form not in get_args(Format):
            raise table.error(
                "max_length", f"unknown format '{form}'", allowed=get_args(Format), given=form
            )
        if not isinstance(length, int) or length < 1:
            raise table.error("max_length", f"{form} = {length!r}", allowed="tokens, 1 or more")
    return lengths


def _sizes(table: TomlTable) -> tuple[SizeRates, ...]:
    """Take learning rates by model size, the smallest first."""
    rates: list[SizeRates] = []
    for content in table.take("sizes", list, [], of=dict):
        size = TomlTable(table.path, f"{table.name}.sizes", content, GUIDE)
        parameters = _number(size, "parameters", float, 0, above=True)
        lr = size.take("lr", list)
        size.finish()
        if not lr or not all(isinstance(rate, float) and rate > 0 for rate in lr):
            raise size.error("lr", f"'lr' is {lr}", allowed="learning rates: [1e-5, 2e-5]")
        if rates and parameters <= rates[-1].parameters:
            raise size.error(
                "parameters", f"'parameters' is {parameters:g}", allowed="growing numbers"
            )
        rates.append(SizeRates(parameters, tuple(lr)))
    return tuple(rates)
