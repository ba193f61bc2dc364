"""The requests that the options of `bench run` and `bench status` make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fewbench.cli.out import k_values, numbers

if TYPE_CHECKING:
    from fewbench.runner.plan import Request


def requests_of(
    config: Path | None,
    *,
    methods: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    k: str | None = None,
    seeds: str | None = None,
    student: str | None = None,
    teacher: str | None = None,
    protocol: str | None = None,
    corpus: str | None = None,
    template: str | None = None,
    data: Path | None = None,
    limit: int | None = None,
    drop_leaks: bool = False,
    dtype: str = "float32",
    attention: str = "sdpa",
    keep_models: bool = False,
    metric_code: bool = False,
    offline: bool = False,
) -> list[Request]:
    """Return the requests of a grid file, or the one that options of these names make.

    Raises:
        BenchError: a K or a seed that is none, or a grid file that is wrong.
    """
    from fewbench.data.hub import go_offline
    from fewbench.runner.grid_file import read_requests
    from fewbench.runner.plan import STUDENT, Request, usual_protocol

    if offline:
        go_offline()
    sizes = k_values(k)
    asked = names_listed("--tasks", tasks, ["demo"])
    request = Request(
        methods=names_listed("--methods", methods, ["all"]),
        tasks=asked,
        k=sizes,
        seeds=numbers("--seeds", seeds),
        student=student or STUDENT,
        teacher=teacher,
        corpus=corpus,
        keep_models=keep_models,
        protocol=protocol or usual_protocol(asked, sizes),
        data=data,
        limit=limit,
        drop_leaks=drop_leaks,
        dtype=dtype,
        attention=attention,
        offline=offline,
        templates=() if template is None else names_listed("--template", [template]),
        metric_code=metric_code,
    )
    options = {
        "methods": methods,
        "tasks": tasks,
        "k": k,
        "seeds": seeds,
        "student": student,
        "teacher": teacher,
        "protocol": protocol,
        "template": template,
        "corpus": corpus,
        "limit": limit,
        "drop_leaks": drop_leaks,
        "dtype": dtype != "float32",
        "attention": attention != "sdpa",
        "keep_models": keep_models,
    }
    given = [name for name, value in options.items() if value]
    return [request] if config is None else read_requests(config, request, given)


def names_listed(
    option: str, texts: Sequence[str] | None, default: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the names that an option lists, or the default ones where it is not given."""
    from fewbench.registry.settings import split_list

    return tuple(split_list(",".join(texts), option)) if texts else tuple(default)
