"""Nothing that a record, a file or an error holds steers a terminal or becomes markup, whichever command shows it."""

from __future__ import annotations

import csv
import gc
import io
import json
import re
import warnings
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from stored import a_record, some_predictions

from fewbench.cell import label
from fewbench.measurement import measured, write
from fewbench.published import COLUMNS
from fewbench.record import Record
from fewbench.store import Store
from fewbench.types import ModelRef, Run
from fewbench.visible import steers

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # typer imports what newer versions of click deprecate
    from fewbench.cli import main

HOSTILE = {
    "terminal": "\x1b[2J\x1b]0;title\x07\x9b31m\x7f\rover",
    "link": "\x1b]8;;http://evil\x1b\\here\x1b]8;;\x1b\\",
    "order": "\u202eevil\u2066\ufeff\u200b\u2028next\u2029",
    "surrogate": "a\udce9\x00b",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)><!--",
    "end of script": '</script><script>alert(1)//"&quot;',
    "markdown": "a|b`c`[x](javascript:alert(1))![y](http://evil)<b>**d**\n# e",
    "latex": r"\input{/etc/passwd}$x^2$%&#_{}~\\[1ex]",
    "rich": "[red]r[/red][link=http://evil]s[/link][/][bold",
    "formula": "=cmd|' /C calc'!A0",
    "plus": "+1+cmd",
    "minus": "-1+cmd",
    "at": "@SUM(1)",
    "tab": "\t=1+1",
    "return": "\r\n=1+1",
    "wide": "＝1+1",
}
"""What would do harm somewhere, by kind."""

FAILED = 2
"""The split seed whose runs have failed."""

STEERING = ("terminal", "link", "order", "surrogate", "rich")
ALL = "".join(HOSTILE[kind] for kind in (*STEERING, "html", "formula"))
"""What could harm a terminal, in one text."""

MARKUP = {"html_block", "html_inline", "link_open", "image", "code_inline", "fence", "heading_open", "softbreak"}
"""Tokens of Markdown that only a name could bring into a table."""


def save(store: Store, text: str, method: str, seed: int, teacher: Run | None = None) -> Record:
    """Store a run in which every text is hostile; of the seed `FAILED` one that failed."""
    names = dict.fromkeys(("task", "source", "protocol", "template"), text)
    ref = ModelRef(text, "", "0" * 16)
    plain = a_record(**names, method=method, seed=seed, student=ref, teacher=ref, settings={text: text})
    trial = {"settings": {text: text}, "seed": 1, "dev": {text: 0.5}, "step": text}
    record = replace(
        plain,
        scores={part: {text: 0.5 + seed / 10} for part in ("dev", "test")},
        selection={"metric": text, "positive": text, "settings": {text: text}, "trial": 0, "trials": [trial, trial]},
        split={text: text, "whole_test_fingerprint": text},
        details={text: text, "label_words": [text], "teacher": {"run": teacher.key if teacher else text}},
        environment={"device": text, "commit": text, text: text},
        warnings=(text,),
        method_code=text,
    )
    if seed == FAILED:
        failed = replace(record, status="failed", error=text, scores={}, selection={}, details={"traceback": text})
        store.save(failed, None)
    else:
        store.save(record, some_predictions())
    found = store.get(record.run)
    assert found is not None
    return found


def measure(store: Store, record: Record) -> None:
    """Store what tables show beyond the score, with every text hostile."""
    text = record.run.task
    told = {"settings": {text: text}, "environment": {text: text}}
    cost = {"parameters": {"total": 2_500_000}, "layer_ratio": 2.0, text: text}
    write(store, record, measured(record, "cost", scores=cost, **told))
    attack = {"after_attack_accuracy": 0.125, "mean_queries": 97.5, text: text}
    write(store, record, measured(record, "attack", "cli", scores=attack, **told), {".jsonl": b"{}\n"})


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


def published(folder: Path, texts: list[str]) -> None:
    """Write a file of published numbers that stand beside ours."""
    folder.mkdir()
    writable = [text for text in texts if text.isprintable() or text.encode("utf-8", "ignore").decode() == text]
    with (folder / "evil.csv").open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(COLUMNS)
        for text in writable:
            given = {"method": text, "task": text, "metric": text, "K": "16", "value": "50", "std": "", "n": ""}
            rows.writerow([given.get(name, text) for name in COLUMNS])
            rows.writerow([{**given, "metric": "accuracy", "task": "sst-2"}.get(name, text) for name in COLUMNS])


@pytest.fixture
def told(hostile, capsys, monkeypatch):
    """Run a command in this process and return what it prints on stdout, after looking at all that it prints."""
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
        told("table", "--rows", "task,protocol", "--columns", "method,k,student", "--median", "--format", form),
        told("table", "--published", "--format", form),
        told("table", "--with", "loyalty,cost,attack", "--format", form),
        *([] if form == "csv" else [told("compare", ours, "--against", "all", "--anyway", "--format", form)]),
    ]


def test_terminal_tables_show_names_as_they_are_but_for_what_steers(told):
    for text in grids(told, "terminal", "terminal"):
        assert text.strip()
    text = told("table")
    assert r"\x1b]0;title" in text and r"\u202e" in text and "[red]r[/red]" in text


def test_markdown_has_no_markup_of_a_name(told):
    reader = MarkdownIt("commonmark").enable("table")
    for text in grids(told, "markdown", "markdown"):
        tokens = [inner for token in reader.parse(text) for inner in (token, *(token.children or ()))]
        assert not {token.type for token in tokens} & MARKUP, text
        counted = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("| ")]
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
    return [cell for cell in cells if cell.lstrip().startswith(begins) and not re.fullmatch(r"[+-]?[\d.]+", cell)]


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
    for command in (["fsck"], ["submit", hostile.root, "--dry-run", "--results", tmp_path], ["doctor"]):
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
    for name, template in (("mood", '"{0} It was {mask}."'), ("mood", text), (text, text), ("[" + text, "1")):
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
    for name in ("seeds", "k-scaling", "templates", "pareto", "loyalty-robustness", "speed-accuracy"):
        told("plot", name, "--published", "--out", tmp_path / f"{name}.svg")
    ours = label(HOSTILE["html"], {HOSTILE["html"]: HOSTILE["html"]})
    told("compare", ours, "--against", "all", "--anyway", "--figure", tmp_path / "ranks.svg")
    drawn = [file.read_text("utf-8") for file in tmp_path.glob("*.svg")]
    assert drawn
    for text in drawn:
        ElementTree.fromstring(text)  # well-formed
        assert harmless(text.replace("\t", "")) and "<script" not in text and "<img" not in text
    for ending in ("pdf", "png"):
        told("plot", "seeds", "--out", tmp_path / f"seeds.{ending}")
        assert (tmp_path / f"seeds.{ending}").stat().st_size


def test_the_page_holds_names_as_data_alone(told, hostile, tmp_path):
    told("leaderboard", "--out", tmp_path / "p.html", "--title", ALL + HOSTILE["end of script"])
    text = (tmp_path / "p.html").read_text("utf-8")
    assert harmless(text.replace("\t", "")) and "<script>alert" not in text and "<img" not in text
    (block,) = re.findall(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert text.count("</script>") == 2
    assert {row["label"] for row in json.loads(block)["rows"]} >= {label(t, {t: t}) for t in HOSTILE.values()}
