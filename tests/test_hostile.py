"""Nothing that a record, a file or an error holds steers a terminal or becomes markup, whichever
command shows it.
"""

from __future__ import annotations

import csv
import gc
import io
import json
import re
import warnings
from xml.etree import ElementTree

import pytest
from evil import ALL, FAILED, HOSTILE, STEERING, measure, published, save
from markdown_it import MarkdownIt

from fewbench.errors import steers
from fewbench.store.cell import label
from fewbench.store.store import Store

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # typer imports what newer versions of click deprecate
    from fewbench.cli import main


MARKUP = {
    "html_block",
    "html_inline",
    "link_open",
    "image",
    "code_inline",
    "fence",
    "heading_open",
    "softbreak",
}
"""Tokens of Markdown that only a name could bring into a table."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with a teacher and a student of each kind, damaged files, and published numbers."""
    store = Store(tmp_path_factory.mktemp("hostile") / "results")
    for text in HOSTILE.values():
        taught = save(store, text, text, 1)
        measure(store, save(store, text, text + "2", 1, taught.run))
        save(store, text, text, FAILED)
    folder = store.runs / "x\x1b[2J" / "<b>"
    folder.mkdir(parents=True)
    (folder / "k1-s1-\x1b[2Jaaaaaaaa.json").write_text('{"\x1b[31m": <b>', "utf-8")
    (folder / "=cmd\u202e.txt").write_text("")
    published(store.root / "published", list(HOSTILE.values()))
    return store


@pytest.fixture
def told(hostile, capsys, monkeypatch):
    """Run a command in this process and return what it prints on stdout, after looking at all that
    it prints.
    """
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setenv("FEWBENCH_RESULTS", str(hostile.root))
    monkeypatch.setenv("COLUMNS", "300")

    def tell(*command: object) -> str:
        monkeypatch.setattr("sys.argv", ["bench", *map(str, command)])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
            warnings.simplefilter("default")
            main()
        gc.enable()  # commands that end soon do without
        out, err = capsys.readouterr()
        assert harmless(out + err), command
        assert "unexpected error" not in err, err
        assert ended.value.code in (0, 1, 2, 3), err
        return out or err

    return tell


def harmless(text: str) -> bool:
    """Whether a text that a terminal shows steers nothing."""
    return not [letter for letter in text if letter != "\n" and steers(letter)]


def grids(told, form: str, kind: str) -> list[str]:
    """Return the tables of a form that commands print, the method of a kind compared."""
    ours = label(HOSTILE[kind], {HOSTILE[kind]: HOSTILE[kind]})
    return [
        told("table", "--format", form),
        told(
            "table",
            "--rows",
            "task,protocol",
            "--columns",
            "method,k,student",
            "--median",
            "--format",
            form,
        ),
        told("table", "--published", "--format", form),
        told("table", "--with", "loyalty,cost,attack", "--format", form),
        *(
            []
            if form == "csv"
            else [told("compare", ours, "--against", "all", "--anyway", "--format", form)]
        ),
    ]


def test_terminal_tables_show_names_as_they_are_but_for_what_steers(told):
    for text in grids(told, "terminal", "terminal"):
        assert text.strip()
    text = told("table")
    assert r"\x1b]0;title" in text and r"\u202e" in text and "[red]r[/red]" in text


def test_markdown_has_no_markup_of_a_name(told):
    reader = MarkdownIt("commonmark").enable("table")
    for text in grids(told, "markdown", "markdown"):
        tokens = [
            inner for token in reader.parse(text) for inner in (token, *(token.children or ()))
        ]
        assert not {token.type for token in tokens} & MARKUP, text
        counted = [
            len(re.findall(r"(?<!\\)\|", line))
            for line in text.splitlines()
            if line.startswith("| ")
        ]
        assert counted and len(set(counted)) <= len([t for t in tokens if t.type == "table_open"])
        assert "<" not in text


def test_latex_has_no_command_of_a_name(told):
    for text in grids(told, "latex", "latex"):
        shown = "\n".join(line for line in text.splitlines() if not line.startswith("% "))
        assert r"\input" not in shown and "passwd" in shown
        assert not re.search(r"(?<!\\)%|(?<!\\)#|(?<!\\)_", shown)


def formulas(text: str) -> list[str]:
    """Return the cells of a CSV text that a spreadsheet would compute; numbers are none."""
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    begins = tuple("=+-@＝＋－＠\t\r")
    return [
        cell
        for cell in cells
        if cell.lstrip().startswith(begins) and not re.fullmatch(r"[+-]?[\d.]+", cell)
    ]


def test_csv_computes_nothing(told, tmp_path):
    texts = grids(told, "csv", "formula")
    told("export", "csv", "--out", tmp_path / "csv")
    files = [file.read_bytes().decode("utf-8") for file in (tmp_path / "csv").glob("*.csv")]
    assert len(files) == 3
    for text in [*texts, *files]:
        assert harmless(text) and not formulas(text)
        assert "'" + HOSTILE["formula"] in text


def test_json_gives_back_what_was_stored(told):
    methods = {row["method"] for row in json.loads(told("table", "--json"))}
    for text in HOSTILE.values():
        assert label(text, {text: text}) in methods
    key = json.loads(told("export", "card", HOSTILE["html"], "--json"))
    assert key["model-index"][0]["name"] == HOSTILE["html"]


@pytest.mark.parametrize("kind", STEERING)
def test_what_tells_of_one_run(told, hostile, kind):
    records = [record for record in hostile.records() if record.run.task == HOSTILE[kind]]
    done = [record.run.key for record in records if record.status == "ok"]
    failed = next(record.run.key for record in records if record.status == "failed")
    for key in (done[0], failed):
        assert json.loads(told("show", key, "--json"))["run"]["task"] == HOSTILE[kind]
        told("show", key)
    assert "loyalty" in told("loyalty", done[0], done[-1])
    told("validate", next(file for file, record in hostile.filed() if record.run.key == done[0]))
    told("export", "card", HOSTILE[kind] + "2")


def test_what_is_wrong_with_what_was_typed(told, tmp_path):
    text = ALL.replace("\x00", "")
    for option in ("--methods", "--k", "--format", "--rows", text):
        told("table", option, text)
    for option in ("--methods", "--tasks", "--student", "--timeout"):
        told("run", "--dry-run", "--offline", option, text)
    for command in ("show", "ls", "split", "validate", "submit", "plot", text):
        told(command, text)
    told("compare", text, "--against", text)
    told("leaderboard", "--out", tmp_path)
    told("table", "--results", tmp_path / text.replace("/", ""))


def test_what_needs_a_kept_model(told, hostile):
    key = next(hostile.records()).run.key
    told("cost", key, "--no-energy")
    told("attack", key, "--offline", "--recipe", "textattack-jin2019")


def test_whole_stores(told, hostile, tmp_path):
    for command in (
        ["fsck"],
        ["submit", hostile.root, "--dry-run", "--results", tmp_path],
        ["doctor"],
    ):
        assert told(*command)
        assert json.loads(told(*command, "--json").partition("\nerror")[0])
    told("merge", hostile.root, "--into", tmp_path / "merged")
    for kind in ("tasks", "methods", "suites", "models", "protocols", "figures"):
        told("ls", kind)


TASK = """
[{name}]
title = {text}
paper = {text}
licence = {text}
version = 1
format = "single"
labels = [{text}, "good"]
metric = "accuracy"
template = {template}
words = {{ {text} = "terrible", good = "great" }}
max_length = 64

[[{name}.source]]
name = {text}
path = {text}
folder = {text}
train = "train"
test = "test"
texts = [{text}]
label = {text}
hub = false
"""


def test_task_files(told, tmp_path):
    text = json.dumps(ALL.replace(HOSTILE["surrogate"], ""))  # JSON's escapes are TOML's
    for name, template in (
        ("mood", '"{0} It was {mask}."'),
        ("mood", text),
        (text, text),
        ("[" + text, "1"),
    ):
        file = tmp_path / "own.toml"
        file.write_text(TASK.format(name=name, text=text, template=template), "utf-8")
        told("validate", file)
        told("run", "--tasks", file, "--methods", "zero-shot", "--dry-run", "--offline")


METHOD = """
{text}
PAPER = {text}
NEEDS = ()

def fit(task, split, kit, *, setting={text}):
    import warnings
    warnings.warn({text})
    print({text})
    raise RuntimeError({text})
"""


def test_progress_and_errors_of_a_method(told, tmp_path):
    text = ALL.replace(HOSTILE["surrogate"], "").replace("\r", "")
    file = tmp_path / "evil.py"
    file.write_text(METHOD.format(text=repr(text)), "utf-8")
    told("validate", file)
    run = (
        "run",
        "--methods",
        file,
        "--tasks",
        "demo-sentiment",
        "--protocol",
        "demo",
        "--seeds",
        "1",
        "--workers",
        "1",
    )
    for more in (["--dry-run"], [], [], ["--retry-failed", "--json"]):
        told(*run, "--offline", "--results", tmp_path / "r", *more)
    (record,) = Store(tmp_path / "r").records()
    assert record.status == "failed" and "\x1b[2J" in str(record.error)
    told("show", record.run.key, "--results", tmp_path / "r")


def test_figures(told, tmp_path):
    for name in (
        "seeds",
        "k-scaling",
        "templates",
        "pareto",
        "loyalty-robustness",
        "speed-accuracy",
    ):
        told("plot", name, "--published", "--out", tmp_path / f"{name}.svg")
    ours = label(HOSTILE["html"], {HOSTILE["html"]: HOSTILE["html"]})
    told("compare", ours, "--against", "all", "--anyway", "--figure", tmp_path / "ranks.svg")
    drawn = [file.read_text("utf-8") for file in tmp_path.glob("*.svg")]
    assert drawn
    for text in drawn:
        ElementTree.fromstring(text)  # well-formed
        assert harmless(text.replace("\t", "")) and "<script" not in text and "<img" not in text
    told("plot", "seeds", "--out", tmp_path / "seeds.pdf")
    assert (tmp_path / "seeds.pdf").stat().st_size


def test_the_page_holds_names_as_data_alone(told, hostile, tmp_path):
    told("leaderboard", "--out", tmp_path / "p.html", "--title", ALL + HOSTILE["end of script"])
    text = (tmp_path / "p.html").read_text("utf-8")
    assert harmless(text.replace("\t", "")) and "<script>alert" not in text and "<img" not in text
    (block,) = re.findall(
        r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL
    )
    assert text.count("</script>") == 2
    assert {row["label"] for row in json.loads(block)["rows"]} >= {
        label(t, {t: t}) for t in HOSTILE.values()
    }
