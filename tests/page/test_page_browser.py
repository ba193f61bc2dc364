"""The page in a real browser, from disk and without network: see, click, type and hear."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import pytest
from page_browser import browser, show, usual_page  # noqa: F401
from page_records import HOSTILE, SEEDS, data_of, failed, make, publish, store_of, usual

from fewbench.report.page.write import save, to_html
from fewbench.store.measurement import measured, write
from fewbench.store.parts import Environment, RunTiming
from fewbench.store.store import Store
from fewbench.types import ModelRef

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install 'fewbench[pages]'"
)
expect = sync_api.expect


SCORES = {"prompt-ft": 0.8, "ft": 0.5}


def lines(page: Any) -> list[str]:
    """Return the methods of the board, from top to bottom."""
    return page.locator(
        "#board tbody th.method > bdi, #board tbody th.method > a > bdi"
    ).all_inner_texts()


def line(page: Any, name: str) -> Any:
    return page.locator(
        "#board tbody tr", has=page.locator("th > bdi, th > a > bdi", has_text=name)
    )


def written(name: str) -> str:
    """Return a name as the page shows it: what would reorder text is written out."""
    return name.replace("\u202e", r"\u{202e}")


def head(page: Any, name: str) -> Any:
    return page.locator("#board thead th", has=page.get_by_role("button", name=name, exact=True))


def headings(page: Any) -> list[str]:
    return page.locator("#board thead button").all_inner_texts()


def texts(row: Any) -> list[str]:
    return ["".join(text.split()) for text in row.locator("td").all_inner_texts()]


def test_the_board_shows_means_deviations_and_what_is_stale_failed_or_missing(show, usual_page):
    page = show(usual_page, "#tasks=all&columns=none")
    expect(page.locator("#board-caption")).to_contain_text("K = 16 · quick · student tiny")
    assert headings(page) == ["method", "average", "sst-2", "mr", "trec"]
    assert lines(page) == ["prompt-ft", "ft"]
    assert texts(line(page, "prompt-ft")) == ["1", "81.0", "81.0(best)±0.8", "1failed", "–norun"]
    expect(line(page, "ft").nth(1)).to_contain_text("†")
    expect(page.locator("#notes")).to_contain_text("older version of the method's code")
    expect(page.locator("#headline")).to_contain_text(
        "With 16 examples a label, prompt-ft on tiny leads at 81.0"
    )
    expect(page.locator("#summary")).to_contain_text("by an older version of the method's code (†)")


def test_who_lacks_a_task_stands_below_the_line_without_a_rank(show, tmp_path):
    records = [make(name, task) for name in ("ft", "prompt-ft") for task in ("mr", "sst-2")]
    records += [make("zero-shot", score=0.99), make("ft", "mr", settings={"lr": 1.0})]
    save(to_html(data_of(store_of(tmp_path, *records)), "t"), tmp_path / "page.html")
    page = show(tmp_path / "page.html")
    assert lines(page) == ["ft", "prompt-ft", "zero-shot"]
    assert [
        texts(row)[0] for row in page.locator("#board tbody tr", has=page.locator("td")).all()
    ] == ["1", "2?toofewseedstotellitfromthefirst", ""]
    expect(page.locator(".rule-row")).to_contain_text("without a run on some of the 2 ranked tasks")
    page.get_by_role("button", name="1 setting").click()
    assert lines(page) == ["ft", "ft:lr=1.0", "prompt-ft", "zero-shot"]
    expect(page.get_by_role("button", name="1 setting")).to_be_focused()
    page.reload()
    assert "ft:lr=1.0" in lines(page)


def test_a_heading_sorts_and_says_so(show, usual_page):
    page = show(usual_page, "#tasks=all")
    button = page.get_by_role("button", name="sst-2", exact=True)
    assert head(page, "sst-2").get_attribute("aria-sort") == "none"
    button.click()
    assert lines(page) == ["prompt-ft", "ft"]
    assert head(page, "sst-2").get_attribute("aria-sort") == "descending"
    page.get_by_role("button", name="sst-2", exact=True).press("Enter")
    assert lines(page) == ["ft", "prompt-ft"]
    assert head(page, "sst-2").get_attribute("aria-sort") == "ascending"
    page.get_by_role("button", name="trec", exact=True).press("Space")
    assert lines(page) == ["ft", "prompt-ft"]  # who has no score stands last, either way
    page.get_by_role("button", name="trec", exact=True).click()
    assert lines(page)[0] == "ft"
    page.get_by_role("button", name="method", exact=True).click()
    assert lines(page) == ["ft", "prompt-ft"]
    assert head(page, "trec").get_attribute("aria-sort") == "none"


def test_words_filter_the_rows_and_the_count_is_announced(show, usual_page):
    page = show(usual_page)
    count = page.locator("#count")
    page.get_by_role("searchbox", name="Methods").fill("TINY prompt")
    assert lines(page) == ["prompt-ft"]
    expect(count).to_have_text("1 of 2 rows shown")
    page.get_by_role("searchbox", name="Methods").fill("nothing like it")
    expect(count).to_have_text("0 of 2 rows shown")
    page.get_by_role("searchbox", name="Methods").fill("")
    assert len(lines(page)) == 2


def test_published_numbers_have_a_tab_by_paper_and_backbone(show, tmp_path):
    publish(
        tmp_path,
        "ppt,4,,Theirs,prompt-ft,SST-2,sst-2@lm-bff,t5,16,accuracy,92.7,0.9,5,a footnote",
        "smash,2,,Others,,SST-2,sst-2@lm-bff,roberta-large,16,accuracy,90.0,,,",
    )
    save(to_html(data_of(store_of(tmp_path, make("prompt-ft"))), "t"), tmp_path / "page.html")
    page = show(tmp_path / "page.html")
    assert lines(page) == ["prompt-ft"]
    page.get_by_role("link", name="Published numbers").click()
    tables = page.locator("#published-tables")
    expect(tables).to_contain_text("92.7 ±0.9[1]")
    expect(tables).to_contain_text("[1] a footnote")
    paper = tables.get_by_role("link", name="read the paper").get_attribute("href")
    assert paper == "https://arxiv.org/abs/2109.04332"
    assert tables.get_by_role("heading").count() == 2
    page.get_by_role("combobox", name="Backbone").select_option("roberta-large")
    assert tables.locator("tbody th").all_inner_texts() == ["Others"]
    page.reload()
    assert tables.locator("tbody th").all_inner_texts() == ["Others"]


def test_other_metrics_of_published_numbers_can_be_chosen(show, tmp_path):
    publish(
        tmp_path,
        "smash,2,,A,,SST-2,sst-2@lm-bff,roberta-large,16,accuracy,90.0,,,",
        "smash,2,,A,,MRPC,mrpc@glue,roberta-large,16,accuracy,70.0,,,",
        "smash,2,,A,,#Param,,roberta-large,16,parameters_m,355,,,",
        "smash,2,,B,,#Param,,bert,16,parameters_m,110,,,",
    )
    save(to_html(data_of(store_of(tmp_path, make("prompt-ft"))), "t"), tmp_path / "page.html")
    page = show(tmp_path / "page.html", "#view=published")
    numbers = page.locator("#published-tables td.number")
    assert numbers.all_inner_texts() == ["90.0"]  # mrpc's own metric is F1
    page.get_by_role("combobox", name="Metric").select_option("parameters m")
    assert numbers.all_inner_texts() == ["355.0", "110.0"]
    assert page.locator("#published-tables .best").count() == 0
    page.get_by_role("combobox", name="Metric").select_option("all")
    assert "70.0" in numbers.all_inner_texts()
    page.reload()
    assert "70.0" in numbers.all_inner_texts()


def test_runs_are_filtered_by_date_and_size(show, tmp_path):
    """The day is that of the end of a run; a model's size is the package's where none is measured."""
    micro = ModelRef("fewbench-micro", "", "1" * 16)
    new = RunTiming(total_seconds=1.0, finished="2026-11-28T10:00:00Z")
    old = RunTiming(total_seconds=1.0, finished="2025-01-01T10:00:00Z")
    records = [make("ft", student=micro, timing=new), make("pkd", student=micro, timing=old)]
    records.append(make("prompt-ft", timing=new))
    data = data_of(store_of(tmp_path, *records))
    place = data["runs"]["fields"].index("date")
    assert {run[place] for run in data["runs"]["rows"]} == {"2026-11-28", "2025-01-01"}
    save(to_html(data, "t"), tmp_path / "page.html")
    page = show(tmp_path / "page.html")
    page.get_by_label("Run since").fill("2026-01-01")
    page.get_by_label("Run since").blur()
    assert sorted(lines(page)) == ["ft", "prompt-ft"]
    size = page.get_by_role("combobox", name="Parameters")
    size.select_option(index=1)
    assert lines(page) == ["ft"]


def test_models_are_ranked_among_themselves(show, tmp_path):
    big = ModelRef("big", "", "1" * 16)
    records = [make("ft", score=0.5), make("ft", score=0.9, student=big), make("pkd", score=0.6)]
    save(to_html(data_of(store_of(tmp_path, *records)), "t"), tmp_path / "page.html")
    page = show(tmp_path / "page.html")
    assert [texts(row)[0][0] for row in line(page, "ft").all()] == ["1", "3"]
    expect(page.locator("#headline")).to_contain_text("Best on tiny: pkd, 60.0.")
    page.get_by_role("combobox", name="Model").select_option("tiny")
    assert lines(page) == ["pkd", "ft"]
    assert texts(line(page, "ft"))[0][0] == "2"


@pytest.mark.parametrize(
    "name, start",
    [
        ("CSV", "rank,from_first,method,student,teacher,average,sst-2@lm-bff,"),
        ("LaTeX", "% needs \\usepackage{booktabs}"),
        ("Markdown", "All tasks · K = 16"),
    ],
)
def test_the_view_can_be_downloaded(show, usual_page, name, start):
    page = show(usual_page)
    with page.expect_download() as download:
        page.get_by_role("button", name=name).click()
    text = Path(download.value.path()).read_text("utf-8")
    assert text.startswith(start) and "prompt-ft" in text and "81" in text


def test_every_field_of_the_csv_view_but_names_is_a_number(show, usual_page):
    page = show(usual_page)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    text = Path(download.value.path()).read_text("utf-8")
    first, *_ = csv.DictReader(text.splitlines())
    words = {"from_first", "method", "student", "teacher"}
    numbers = [float(value) for name, value in first.items() if name not in words and value]
    assert 100.0 in numbers and {"win rate", "to the first low"} <= first.keys()


def test_tabs_choose_the_suite_by_mouse_and_by_arrow_keys(show, usual_page):
    page = show(usual_page)
    tabs = page.get_by_role("tab")
    names = tabs.all_inner_texts()
    assert names[0] == "all" and {"lm-bff", "sentiment", "superglue"} < {*names}
    page.get_by_role("tab", name="superglue").click()
    expect(page.locator("#headline")).to_contain_text("No method has runs on all 3 tasks")
    page.get_by_role("tab", name="sentiment").click()
    page.get_by_role("tab", name="sentiment").press("ArrowLeft")
    before = names[names.index("sentiment") - 1]
    expect(page.get_by_role("tab", selected=True)).to_have_text(before)
    expect(page.get_by_role("tab", selected=True)).to_be_focused()
    page.get_by_role("tab", name="lm-bff").click()
    assert headings(page) == ["method", "mr", "sst-2", "trec"]
    expect(page.locator("#board-caption")).to_contain_text("3 of the suite's 16 tasks have runs")
    page.keyboard.press("End")
    expect(page.get_by_role("tab", selected=True)).to_have_text(names[-1])
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", selected=True)).to_have_text("all")
    assert page.locator("[role=tab][tabindex='0']").count() == 1


def test_k_and_protocol_choose_the_table(show, usual_page):
    page = show(usual_page)
    page.get_by_role("combobox", name="K, examples a label").select_option("4")
    expect(page.locator("#board-caption")).to_contain_text("K = 4")
    assert lines(page) == ["prompt-ft"]
    page.get_by_role("combobox", name="K, examples a label").select_option("16")
    page.get_by_role("combobox", name="Protocol").select_option("lm-bff-v1")
    assert lines(page) == ["ft"]
    assert headings(page) == ["method", "average", "boolq", "win rate"]
    page.go_back()
    expect(page.locator("#board-caption")).to_contain_text("quick")


def test_rows_of_earlier_definitions_are_shown_when_they_are_asked_for(show, tmp_path):
    data = data_of(store_of(tmp_path, make(), make("pkd", score=0.4), make("prompt-ft")))
    (block,) = data["blocks"]
    (pkd,) = [place for place, row in enumerate(data["rows"]) if row["method"] == "pkd"]
    (cell,) = [cell for cell in block["cells"] if cell[0] == pkd]
    cell[9] = ["defaults"]
    save(to_html(data, "t"), tmp_path / "page.html")
    page = show(tmp_path / "page.html")
    assert lines(page) == ["ft", "prompt-ft"]
    expect(page.locator("#count")).to_have_text("2 of 3 rows shown")
    page.get_by_role("checkbox", name="rows of earlier definitions").check()
    assert lines(page) == ["ft", "prompt-ft", "pkd"] and page.url.endswith("rows=all")


def test_limited_runs_are_called_not_comparable(show, tmp_path):
    data = data_of(store_of(tmp_path, make(), make(limit=50, seed=21)))
    save(to_html(data, "t"), tmp_path / "page.html")
    page = show(tmp_path / "page.html")
    assert page.locator("#board-caption .warning").count() == 0
    page.get_by_role("combobox", name="Protocol").select_option("quick · 50 drawn test rows")
    expect(page.locator("#board-caption .warning")).to_contain_text("Not comparable")


def test_a_score_leads_to_its_runs_their_trials_and_their_record(show, usual_page):
    page = show(usual_page)
    line(page, "prompt-ft").get_by_role("button").filter(has_text="81.0").click()
    dialog = page.get_by_role("dialog", name="prompt-ft on sst-2@lm-bff")
    for text in ("95 % interval", "78.52 to 83.48", "bench run --methods prompt-ft", "13,21,42"):
        expect(dialog).to_contain_text(text)
    assert dialog.locator("tbody tr").count() == 3
    page.reload()
    expect(dialog).to_be_visible()
    opened = page.url
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.wait_for_url(lambda address: address != opened)
    page.go_back()
    dialog.get_by_role("link", name="Trials and details").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("prompt-ft")
    expect(page.get_by_role("heading", level=2)).to_be_focused()
    assert page.title() == "prompt-ft · Leaderboard"
    expect(page.locator("#method")).to_contain_text("3 of 7 runs")
    first = page.locator("#runs tbody button").first
    first.press("Enter")
    assert first.get_attribute("aria-expanded") == "true"
    detail = page.locator(f"#{first.get_attribute('aria-controls')}")
    for text in ("terrible, great", "It was {mask}.", "cpu: Abacus", "torch=2", "2 trials"):
        expect(detail).to_contain_text(text)
    expect(detail.locator("tr.chosen")).to_contain_text("lr=0")
    record = detail.get_by_role("link").get_attribute("href")
    assert (usual_page.parent / unquote(record)).is_file()
    address = urlsplit(detail.get_by_role("link").evaluate("link => link.href"))
    assert Path(url2pathname(address.path)).is_file()
    page.go_back()
    expect(page.locator("#board")).to_be_visible()


def test_a_method_has_its_paper_settings_label_words_cost_and_runs(show, usual_page):
    page = show(usual_page, "#view=methods")
    page.get_by_role("link", name="prompt-ft", exact=True).click()
    for text in (
        "Gao, Fisch and Chen, 2021",
        "student, words",
        "4.0 s, 100 MiB at the peak",
        "by the protocol's grid",
        "a number above 0",
    ):
        expect(page.locator("#method")).to_contain_text(text)
    page.get_by_text("1 set", exact=True).click()
    expect(page.locator("#method")).to_contain_text("sst-2@lm-bff: terrible, great")
    bad = page.locator("#runs tr", has_text="failed").first
    bad.get_by_role("button").click()
    expect(page.locator("#runs .detail:not([hidden])")).to_contain_text("Failed: it broke")


def test_many_runs_are_shown_in_portions(show, tmp_path):
    data = data_of(store_of(tmp_path, make()))
    data["runs"]["rows"] *= 450
    save(to_html(data, "t"), tmp_path / "page.html")
    page = show(tmp_path / "page.html", "#view=method&method=ft")
    assert page.locator("#runs tbody th").count() == 200
    page.get_by_role("button", name="Show more (250)").click()
    page.get_by_role("button", name="Show more (50)").click()
    assert page.locator("#runs tbody th").count() == 450
    expect(page.locator("#method .more")).to_be_hidden()


def test_figures_draw_every_seed_and_scores_over_k(show, usual_page):
    page = show(usual_page)
    page = show(usual_page, "#tasks=all")
    page.get_by_role("combobox", name="Task", exact=True).select_option("sst-2@lm-bff")
    seeds = page.locator("#seeds-figure svg")
    assert seeds.get_attribute("role") == "img"
    assert seeds.locator(".mark.c0").count() == 2 * len(SEEDS)
    assert seeds.locator(".mean").count() == 2
    x = {
        t.locator("title").text_content(): t.bounding_box()["x"]
        for t in seeds.locator(".mark.c0").all()
    }
    assert x["seed 13: 60.0"] < x["seed 21: 61.0"] < x["seed 13: 80.0"] < x["seed 42: 82.0"]
    curves = page.locator("#scaling-figure svg polyline")
    assert curves.count() == 1
    assert page.locator("#scaling-figure .mark title").all_text_contents() == [
        "prompt-ft · tiny, K = 4: 70.0",
        "prompt-ft · tiny, K = 16: 81.0",
    ]
    switch = page.get_by_role("button", name="prompt-ft · tiny")
    switch.click()
    assert curves.count() == 0
    expect(switch).to_be_focused()
    page.get_by_role("combobox", name="Task", exact=True).select_option("trec@lm-bff")
    assert seeds.locator(".mark.c0").count() == 2


def test_the_opening_figure_draws_accuracy_against_cost_and_its_front(show, tmp_path):
    costs = {"ft": (0.5, 4.0), "prompt-ft": (0.8, 9.0), "zero-shot": (0.4, 8.0)}
    records = []
    for name, (score, seconds) in costs.items():
        records.append(make(name, score=score, timing=RunTiming(total_seconds=seconds)))
    save(to_html(data_of(store_of(tmp_path, *records)), "t"), tmp_path / "page.html")
    page = show(tmp_path / "page.html")
    figure = page.locator("#pareto-figure")
    assert figure.locator("svg title").all_text_contents() == [
        "prompt-ft (tiny): 80.0, 9 seconds of a run",
        "ft (tiny): 50.0, 4 seconds of a run",
        "zero-shot (tiny): 40.0, 8 seconds of a run",
    ]
    assert figure.locator(".label:not(.faint)").all_text_contents() == ["prompt-ft", "ft"]
    assert figure.locator("svg > g").get_attribute("aria-hidden") == "true"
    expect(figure.locator(".unseen")).to_have_text(
        "On the line, from cheap to good: ft (tiny): 50.0, 4 seconds of a run; "
        "prompt-ft (tiny): 80.0, 9 seconds of a run."
    )


def test_names_of_the_first_sentence_are_explained_and_it_is_read_when_it_changes(show, tmp_path):
    records = [make(name, score=score, k=k) for k in (4, 16) for name, score in SCORES.items()]
    data = data_of(store_of(tmp_path, *records))
    data["models"]["tiny"] = {"parameters": 1.23, "what": "two layers"}
    save(to_html(data, "t"), tmp_path / "page.html")
    page = show(tmp_path / "page.html", "#k=16")
    headline = page.locator("#headline[role=status]")
    expect(headline).to_contain_text("prompt-ft on tiny (1.2 M parameters) leads at 80.0")
    assert page.locator("#gloss dt").all_text_contents() == ["prompt-ft", "tiny", "protocol quick"]
    expect(page.locator("#gloss")).to_contain_text("1.2 M parameters: two layers.")
    expect(page.locator("#gloss")).to_contain_text("A short search for laptops and tests")
    assert head(page, "average").get_attribute("aria-sort") == "descending"
    page.evaluate("document.querySelector('#headline').firstChild.kept = true")
    page.get_by_role("searchbox", name="Methods").fill("zero")
    assert page.evaluate("document.querySelector('#headline').firstChild.kept")
    page.get_by_role("combobox", name="K, examples a label").select_option("4")
    expect(headline).to_contain_text("With 4 examples a label")


def test_what_was_measured_beyond_the_score_are_columns_to_switch_on(show, tmp_path):
    store = Store(usual(tmp_path))
    for record in store.records():
        if record.run.method == "ft" and record.run.task == "sst-2":
            told = {"settings": {}, "environment": Environment()}
            scores = {"after_attack_accuracy": 0.25, "mean_queries": 31.54}
            write(
                store,
                record,
                measured(
                    record,
                    "attack",
                    "textfooler-paper",
                    scores=scores,
                    **told | {"settings": {"drawn": {}}},
                ),
            )
            if record.run.seed == SEEDS[0]:
                write(store, record, measured(record, "cost", scores={"layer_ratio": 2.0}, **told))
    save(to_html(data_of(tmp_path), "t"), tmp_path / "page.html")
    page = show(tmp_path / "page.html", "#columns=none")
    assert headings(page) == ["method", "average", "sst-2"]
    page.get_by_role("checkbox", name="robustness").check()
    page.get_by_role("checkbox", name="cost").check()
    added = [text.strip() for text in headings(page)[3:]]
    assert added == ["after-attack accuracy", "queries", "layer ratio", "seconds"]
    assert texts(line(page, "ft").nth(1))[-4:] == ["25.0", "31.5", "2.00", "4"]
    assert texts(line(page, "prompt-ft"))[-4:] == ["–", "–", "–", "4"]
    page.get_by_role("button", name="queries").click()
    assert lines(page) == ["ft", "prompt-ft"]
    line(page, "ft").nth(0).get_by_role("button").filter(has_text="61.0").click()
    expect(page.get_by_role("dialog")).to_contain_text("2.00 (1 run)")


def test_hostile_names_are_text_everywhere(show, tmp_path):
    records = [
        make(
            name,
            name,
            source=name,
            student=None,
            settings={name: name},
            protocol=name,
            warnings=(name,),
            details={name: name},
        )
        for name in HOSTILE
    ]
    records += [make(), *(failed(name, "sst-2", name, seed=87) for name in HOSTILE)]
    publish(tmp_path, *(",".join(f'"{c}"' for c in _published(name)) for name in HOSTILE))
    data = data_of(store_of(tmp_path, *records))
    data["damaged"] = list(HOSTILE)
    save(to_html(data, HOSTILE[0]), tmp_path / "page.html")
    page = show(tmp_path / "page.html")
    assert page.get_by_role("heading", level=1).text_content() == HOSTILE[0]
    page.get_by_role("link", name="Published numbers").click()
    shown = set(page.locator("#published-tables tbody th").all_inner_texts())
    assert {written(f"{name}: {name}") for name in HOSTILE} <= shown
    page.get_by_role("link", name="Leaderboard").click()
    for name in HOSTILE:
        page.get_by_role("combobox", name="Protocol").select_option(name)
        assert written(f"{name}:{name}={name}") in lines(page)
        page.locator("#board tbody .score").first.click()
        assert written(name) in page.locator("#cell").text_content()
        page.keyboard.press("Escape")
        line(page, written(f"{name}={name}")).get_by_role("link").first.click()
        expect(page.get_by_role("heading", level=2)).to_have_text(written(name))
        for button in page.locator("#runs tbody button").all():
            button.click()
        assert written(name) in page.locator("#runs").text_content()
        page.go_back()
    page.get_by_role("link", name="About").click()
    assert all(written(name) in page.locator("#about").text_content() for name in HOSTILE)
    assert page.locator("img, body svg[onload], main script").count() == 0
    assert "owned" not in page.title() or page.title().endswith(HOSTILE[0])


def _published(name: str) -> list[str]:
    quoted = name.replace('"', '""')
    return [
        quoted,
        quoted,
        quoted,
        quoted,
        quoted,
        "x",
        "sst-2",
        quoted,
        "16",
        "accuracy",
        "50",
        "1",
        "5",
        quoted,
    ]


def test_the_policy_refuses_markup_scripts_and_requests(browser, usual_page):
    context = browser.new_context()  # with the network on, so that it is the policy that refuses
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(usual_page.as_uri())
    refused = """async () => {
      const tried = {};
      const attempt = async (name, act) => {
        try { await act(); tried[name] = "done"; } catch (error) { tried[name] = error.name; }
      };
      await attempt("markup", () => { document.body.innerHTML = "<b>x</b>"; });
      await attempt("request", () => fetch("http://127.0.0.1:9/"));
      await attempt("script", () => { document.createElement("script").textContent = "1"; });
      const style = document.head.appendChild(document.createElement("style"));
      style.textContent = "body { color: rgb(1, 2, 3) }";
      tried.style = getComputedStyle(document.body).color;
      return tried;
    }"""
    found = page.evaluate(refused)
    context.close()
    assert (found["markup"], found["script"], found["request"]) == ("TypeError",) * 3
    assert found["style"] != "rgb(1, 2, 3)"
    assert [url for url in asked if not url.startswith("file:")] == []


def test_a_page_of_nothing_says_how_to_fill_it(show, tmp_path):
    save(to_html(data_of(tmp_path), "Empty"), tmp_path / "page.html")
    page = show(tmp_path / "page.html")
    expect(page.locator("#headline")).to_contain_text("bench run makes some")
    page = show(
        tmp_path / "page.html", "#view=method&method=none%20such&k=x&suite=y&sort=z&__proto__=1"
    )
    expect(page.locator("#method")).to_contain_text("no method of this name")
