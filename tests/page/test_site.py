"""`bench leaderboard --site`: linked pages, their data, and the folder that holds them."""

from __future__ import annotations

import csv
import io
import json
import os
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from page_browser import browser, show  # noqa: F401
from page_records import HOSTILE, failed, make, publish, store_of, usual

from fewbench.errors import BenchError
from fewbench.report.site import folder as site_folder
from fewbench.report.site.build import site_files
from fewbench.report.site.content import read_content
from fewbench.report.site.folder import MANIFEST, check_folder, save_site

KINDS = (
    "methods/prompt-ft.html",
    "papers/xu2024efficient.html",
    "methods/index.html",
    "papers/index.html",
    "contents.html",
)
"""A page of each kind."""

NUMBERS = (
    "smash,2,Part,A,prompt-ft,SST-2 (acc),sst-2@lm-bff,roberta-large,16,accuracy,92.7,0.9,5,a note",
    "smash,2,Part,A,prompt-ft,MR,mr@lm-bff,roberta-large,16,accuracy,87.5,,,",
    "smash,2,Part,<b>B</b>,,MR,mr@lm-bff,roberta-large,16,accuracy,70,,,",
    "efficient-nlp-thesis,3.3,,w/ PABEE,pabee,Minutes,mnli@glue,albert-base,full,train_minutes,3,,,",
)


class Page(HTMLParser):
    """The links, ids, tags and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        found = dict(attributes)
        assert not [name for name in found if name.startswith("on")], found
        if "id" in found:
            self.ids.add(found["id"])
        if tag == "a":
            self.links.append(found["href"])

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = usual(tmp_path_factory.mktemp("results"))
    publish(root, *NUMBERS)
    return site_files(read_content(root, "Board"))


@pytest.fixture(scope="module")
def pages(files):
    made = {path: data.decode() for path, data in files.items() if path.endswith(".html")}
    return {path: Page(text) for path, text in made.items()}


@pytest.fixture(scope="module")
def site(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sites") / "site"
    save_site(files, folder)
    return folder


def test_every_link_is_relative_and_leads_to_a_file_and_place_of_the_site(files, pages):
    assert set(KINDS) < set(pages)
    for path, page in pages.items():
        for href in page.links:
            parts = urlsplit(href)
            if parts.scheme:
                assert parts.scheme == "https" and parts.netloc, (path, href)
                continue
            assert not parts.netloc and not parts.path.startswith("/"), (path, href)
            place = (
                os.path.normpath(Path(path).parent / unquote(parts.path)) if parts.path else path
            )
            assert place in files, (path, href)
            if parts.fragment and place != "index.html":
                assert unquote(parts.fragment) in pages[place].ids, (path, href)


def test_every_page_is_reached_from_the_board(pages):
    reached, left = set(), ["index.html"]
    while left:
        path = left.pop()
        if path in reached or path not in pages:
            continue
        reached.add(path)
        links = (unquote(urlsplit(href).path) for href in pages[path].links if "://" not in href)
        left += [os.path.normpath(Path(path).parent / link) for link in links if link]
    assert reached == set(pages)


def test_the_board_links_to_pages_of_methods_papers_and_records(files):
    text = files["index.html"].decode()
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    for path in [*data["pages"]["methods"].values(), *data["pages"]["papers"].values()]:
        assert path.removeprefix("./") in files
    fields = data["runs"]["fields"]
    for row in data["runs"]["rows"]:
        link = dict(zip(fields, row, strict=True))["file"]
        assert unquote(link).removeprefix("./") in files


def test_a_method_has_its_declaration_evidence_and_citation(pages):
    text = pages["methods/prompt-ft.html"].text
    for part in (
        "bench run --methods prompt-ft --tasks demo",
        "a number above 0",
        "81.0 ± 0.8",
        "@inproceedings{gao2021making,",
        "SMASH (Anonymous, 2022), Table 2",
    ):
        assert part in text, part
    assert "older code" in pages["methods/ft.html"].text
    assert "No run of it is stored here." in pages["methods/pet.html"].text


def test_a_paper_has_its_numbers_and_what_can_be_made(pages):
    smash = pages["papers/anonymous2022making.html"].text
    for part in ("92.7 ± 0.9", "70.0", "bench reproduce smash 2", "2 of 3 numbers can be made"):
        assert part in smash, part
    thesis = pages["papers/xu2024efficient.html"].text
    assert "0 of 1 numbers can be made here." in thesis
    assert "time on the paper's machine" in thesis


def test_data_are_those_of_the_tables(files):
    cells = json.loads(files["data/cells.json"])
    rows = list(csv.DictReader(io.StringIO(files["data/cells.csv"].decode())))
    assert len(cells) == len(rows) > 3
    printed = list(csv.DictReader(io.StringIO(files["data/published.csv"].decode())))
    assert (printed[0]["task"], printed[0]["K"], printed[0]["value"], printed[1]["std"]) == (
        "sst-2@lm-bff",
        "16",
        "92.7",
        "",
    )


def test_names_are_text_on_every_page(tmp_path):
    records = [make("ft", f"task {name}", settings={name: name}) for name in HOSTILE]
    root = store_of(tmp_path, *records, failed("ft", "sst-2", HOSTILE[0]))
    publish(
        root,
        *(f'smash,2,,"{name.replace(chr(34), "")}",ft,c,mr,b,16,accuracy,1,,,' for name in HOSTILE),
    )
    made = site_files(read_content(root, HOSTILE[0]))
    usual_tags = {"html", "head", "meta", "title", "link", "style", "body", "a", "header", "nav"}
    usual_tags |= {"main", "h1", "h2", "p", "div", "table", "caption", "thead", "tbody", "tr", "th"}
    usual_tags |= {
        "td",
        "code",
        "pre",
        "dl",
        "dt",
        "dd",
        "ul",
        "ol",
        "li",
        "small",
        "sup",
        "span",
        "footer",
    }
    for path, data in made.items():
        if path.endswith(".html") and path != "index.html":
            assert Page(data.decode()).tags <= usual_tags, path


def test_a_folder_that_is_no_site_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(BenchError, match="not a site"):
        check_folder(tmp_path)
    with pytest.raises(BenchError, match="not a site"):
        save_site({"index.html": b"x"}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_later_site_replaces_its_own_files_alone(tmp_path):
    (tmp_path / ".git").mkdir()
    save_site({"index.html": b"1", "methods/old.html": b"1"}, tmp_path)
    (tmp_path / "CNAME").write_text("mine")
    save_site({"index.html": b"2", "methods/new.html": b"2"}, tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"CNAME", MANIFEST, "index.html", "methods/new.html"}
    assert (tmp_path / "index.html").read_bytes() == b"2"


def test_a_site_that_was_interrupted_is_finished_by_the_next(tmp_path, monkeypatch):
    save_site({"index.html": b"1", "a.html": b"1"}, tmp_path / "site")
    whole = site_folder.write_whole

    def stop(file, data):
        if file.name == "b.html":
            raise KeyboardInterrupt
        return whole(file, data)

    monkeypatch.setattr(site_folder, "write_whole", stop)
    with pytest.raises(KeyboardInterrupt):
        save_site({"index.html": b"2", "a2.html": b"2", "b.html": b"2"}, tmp_path / "site")
    monkeypatch.undo()
    save_site({"index.html": b"3"}, tmp_path / "site")
    left = sorted(path.name for path in (tmp_path / "site").iterdir())
    assert left == ["index.html", MANIFEST]


def test_a_forged_list_of_files_removes_nothing_outside(tmp_path):
    folder, secret = tmp_path / "site", tmp_path / "secret"
    secret.write_text("mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("mine")
    save_site({"index.html": b"1"}, folder)
    (folder / "link").symlink_to(elsewhere)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"] += ["../secret", str(secret), "link/file", 3]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    save_site({"index.html": b"2"}, folder)
    assert secret.exists() and (elsewhere / "file").exists()


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "site"):
        with pytest.raises(BenchError, match="cannot write"):
            save_site({"index.html": b"1"}, folder)


def test_the_command_writes_a_site(tmp_path, bench):
    root, folder = usual(tmp_path / "results"), tmp_path / "site"
    done = bench("leaderboard", "--results", root, "--site", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"] == 18
    assert str(tmp_path) not in (folder / "index.html").read_text("utf-8")
    for words in ((), ("--site", folder, "--out", tmp_path / "page.html")):
        refused = bench("leaderboard", "--results", root, *words)
        assert refused.returncode == 2 and "one of --out and --site" in refused.stderr


@pytest.mark.parametrize("path", KINDS)
@pytest.mark.parametrize("width, scheme", [(390, "dark"), (1280, "light")])
def test_pages_fit_and_axe_finds_nothing(show, site, path, width, scheme):  # noqa: F811
    viewport = {"width": width, "height": 900}
    page = show(site / path, viewport=viewport, bypass_csp=True, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    script = Path(os.environ.get("AXE_SCRIPT", ""))
    if not script.is_file():
        pytest.skip("needs axe: npm install axe-core, and AXE_SCRIPT=…/axe-core/axe.min.js")
    page.evaluate(script.read_text("utf-8"))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
