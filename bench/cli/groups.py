"""The groups of commands: `bench export`, `bench external` and `bench data`."""

from __future__ import annotations

import typer

from fewbench.cli import data, export, export_formats, external
from fewbench.cli.help import add_command

exports = typer.Typer(
    help="Write kept models, and results for other programs.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
add_command(
    exports,
    "card",
    export.card,
    "Print results as the metadata of a model card.",
    "bench export card prompt-ft --tasks sst-2,mr --k 16",
)
add_command(
    exports,
    "csv",
    export.csv,
    "Write runs.csv, trials.csv and cells.csv.",
    "bench export csv --out tables/",
)
add_command(
    exports,
    "model",
    export.model,
    "Write a kept model for use without this project.",
    "bench export model prompt-ft/sst-2/k16/s13 --to my-model/",
    "bench export model 1f3a --to my-model/ --int8",
)
add_command(
    exports,
    "eee",
    export_formats.eee,
    "Write results as Every Eval Ever has them.",
    "bench export eee --tasks sst-2 --out eee/",
    "bench export eee --methods prompt-ft --samples --data data/ --out eee/",
)
add_command(
    exports,
    "eval-results",
    export_formats.eval_results,
    "Write results as the hub's .eval_results.",
    "bench export eval-results prompt-ft --tasks sst-2 --out my-model/",
)
add_command(
    exports,
    "schema",
    export_formats.schema,
    "Print the JSON Schema of a record.",
    "bench export schema",
)

external_app = typer.Typer(
    help="Keep results made elsewhere, to be shown beside ours.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
add_command(
    external_app,
    "add",
    external.add,
    "Check results made elsewhere, and keep them.",
    "bench external add their-table table.csv",
    "bench external add lm-bff-again log --as lm-bff --tag exp",
    "bench external add setfit-again results/MODEL --as setfit --rename emotion=",
)
add_command(external_app, "ls", external.ls, "List what is kept.", "bench external ls")

data_app = typer.Typer(
    help="List, fetch, verify and import data.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
add_command(
    data_app,
    "ls",
    data.ls,
    "List files, which are missing, and how to get those.",
    "bench data ls sst-2 --data data/",
)
add_command(
    data_app,
    "fetch",
    data.fetch,
    "Fetch data from the hub, once.",
    "bench data fetch sst-2 mr@lm-bff --data data/",
)
add_command(
    data_app,
    "verify",
    data.verify,
    "Check the files that are there.",
    "bench data verify --data data/",
)
add_command(
    data_app,
    "import",
    data.import_,
    "Check files of your own, and copy them in.",
    "bench data import downloads/SST-2 --task sst-2@glue --from tsv --data data/",
)
