"""The report's page in a real browser: headless Chromium, if there is one."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import optuna
import pytest
from matplotlib import pyplot as plt
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from synthetic_runs import make_run

from sslrun.drawing import as_svg
from sslrun.report.collecting import collect
from sslrun.report.document import build
from sslrun.report.page import as_html, keep_live
from sslrun.report.search_figures import search_figures
from sslrun.runs.lease import hold
from sslrun.runs.notes import annotate
from sslrun.runs.records import CellRecord, GridRecord, State

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
Run = Callable[..., tuple[int, str, str]]
EVIL = "<script>document.title='owned'</script><img src=x onerror=alert(1)> \"'&{{7*7}}$x$"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    results = tmp_path_factory.mktemp("results")
    for seed in range(2):
        make_run(results, seed, knn=0.95 + seed / 100)
        make_run(results, seed, "method.predictor={kind: linear}", knn=0.5)
        make_run(results, seed, "method.predictor={kind: none}", knn=0.7, state="collapsed", verdict="complete")
    failed = make_run(results, 2, state="failed", reason=EVIL)
    failed.recipe.write_text(f"# {EVIL}\n")
    failed.environment.write_text(json.dumps({"cpu": EVIL, "host": "secret-host"}))
    return as_html(build(collect(results), baseline="predictor=linear", metrics=["knn"], other_data=True))


def in_browser(page: str, script: str, folder: Path, width: int = 1200) -> Any:
    """What `script` (JavaScript that returns a value) finds in the page once it has been shown."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    (folder / "page.html").write_text(
        page.replace(
            "</body>",
            f"<script>const found = (() => {{ {script} }})();"
            "document.body.dataset.found = JSON.stringify(found);</script></body>",
        )
    )
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=2000", "--dump-dom"]
    command.append(f"--window-size={width},900")
    done = subprocess.run(
        [*command, (folder / "page.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    match = re.search(r'data-found="([^"]*)"', done.stdout)
    assert match, done.stdout[:500]
    return json.loads(html.unescape(match[1]))


class Fetches(HTMLParser):
    """Everything that an element would load, and every script."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "data") and not (value or "").startswith(("#", "data:")):
                self.found.append(f"{tag} {name}={value}")
            assert not name.startswith("on"), (tag, name)


def test_the_page_fetches_nothing_and_runs_only_its_own_script(page: str) -> None:
    fetches = Fetches()
    fetches.feed(page)
    assert fetches.found == []
    assert fetches.scripts == 1
    assert "secret-host" not in page
    assert html.escape("<script>document.title", quote=False) in page


def test_tables_sort_by_number_and_by_word_in_a_browser(page: str, tmp_path: Path) -> None:
    found = in_browser(
        page,
        """
        const table = document.querySelector("table"), heads = [...table.tHead.rows[0].cells];
        const column = i => [...table.tBodies[0].rows].map(row => row.cells[i].textContent);
        const at = name => heads.findIndex(head => head.textContent === name);
        const click = name => { heads[at(name)].querySelector("button").click(); return column(at("predictor")); };
        return {
          before: column(0), title: document.title, injected: document.querySelectorAll("img").length,
          up: click("knn"), mark: heads[at("knn")].getAttribute("aria-sort"), down: click("knn"),
          words: click("predictor"), marked: table.querySelectorAll("[aria-sort]").length,
          figures: [...document.querySelectorAll("figure svg")].filter(svg => svg.clientWidth > 300).length,
          sections: [...document.querySelectorAll("section")].map(section => section.id),
          wider: [...document.querySelectorAll("body *")].filter(each => !each.closest(".wide, pre, svg")
            && each.getBoundingClientRect().right > innerWidth).map(each => each.outerHTML.slice(0, 200)),
        };
        """,
        tmp_path,
    )
    assert found["title"].startswith("sslrun report")
    assert found["injected"] == 0
    assert found["up"] == ["linear", "none", "directpred"]
    assert found["down"] == ["directpred", "none", "linear"]
    assert found["mark"] == "ascending"
    assert found["words"] == sorted(found["before"])
    assert found["marked"] == 1
    assert found["figures"] == 3
    assert found["sections"][:3] == ["results", "ablation", "courses"]
    assert {"scorecard", "recipes", "environments"} <= set(found["sections"])
    assert found["wider"] == []


def test_rows_are_filtered_and_a_page_that_loads_again_looks_as_before(page: str, tmp_path: Path) -> None:
    script = """
    const table = document.querySelector("table"), filter = document.getElementById("filter");
    const seen = () => [...table.tBodies[0].rows].filter(row => !row.hidden).map(row => row.cells[0].textContent);
    const before = [...seen(), filter.value];
    filter.value = "LIN"; filter.dispatchEvent(new Event("input"));
    table.tHead.rows[0].cells[1].querySelector("button").click();
    return { before, after: seen(), kept: Object.keys(sessionStorage).length,
             tabbed: [...document.querySelectorAll("a, button, summary, input")].every(each => each.tabIndex >= 0) };
    """
    found = in_browser(page, script, tmp_path)
    assert len(found["before"]) == 4 and found["before"][-1] == ""
    assert found["after"] == ["linear"] and found["kept"] == 2 and found["tabbed"]


def test_no_column_is_cut_where_it_is_printed(page: str, tmp_path: Path) -> None:
    printed = page.replace("@media print", "@media all").replace("max-width: none;", "max-width: 1030px; margin: 0;")
    found = in_browser(
        printed,
        """
        const wide = [...document.querySelectorAll("table, th, td, pre, svg")];
        const scrolls = [...document.querySelectorAll(".wide")].filter(each => each.scrollWidth > each.clientWidth);
        return { cut: wide.filter(each => each.getBoundingClientRect().right > 1032).length, all: wide.length,
                 scrolls: scrolls.length };
        """,
        tmp_path,
        width=1050,
    )
    assert found["all"] > 50
    assert (found["cut"], found["scrolls"]) == (0, 0)


def test_a_live_page_shows_what_runs_until_nothing_does(tmp_path: Path) -> None:
    make_run(tmp_path, 0, epochs=4)
    running = make_run(tmp_path, 1, epochs=4)
    ended = running.status
    running.write_status(replace(ended, state=State.RUNNING, epoch=2, verdict=None))
    pages: list[str] = []
    path = tmp_path / "page" / "live.html"

    def wait() -> None:
        pages.append(path.read_text())
        held.close()
        running.write_status(ended)

    with ExitStack() as held:
        held.enter_context(hold(running))
        keep_live(path, tmp_path, lambda: build(collect(tmp_path)), wait=wait)
    assert len(pages) == 1
    shown = in_browser(
        pages[0].replace('http-equiv="refresh"', 'name="refresh"'),
        """
        const bar = document.querySelector("#progress progress");
        const again = document.querySelector("meta[name=refresh]").content;
        return { part: bar.value, row: bar.closest("tr").textContent, again };
        """,
        tmp_path,
    )
    assert shown["part"] == 1.0 and "epoch 4/4" in shown["row"] and running.path.name in shown["row"]
    assert int(shown["again"]) > 0
    last = path.read_text()
    assert "refresh" not in last and "<progress" not in last and "2 done" in last


def test_a_live_page_of_a_grid_says_nothing_of_other_runs(tmp_path: Path, sslrun: Run) -> None:
    for seed, name in enumerate(("mine", "zebra")):
        failed = make_run(tmp_path, seed, state="failed", reason=f"{name} broke", knn=None)
        GridRecord(grid=name, axes={}, cells=(CellRecord(labels={}, seed=0, identity=failed.identity),)).write(tmp_path)
    page = tmp_path / "live.html"
    assert sslrun("report", tmp_path, "--live", page)[0] == 0
    assert "mine broke" in page.read_text() and "zebra broke" in page.read_text()
    assert sslrun("report", tmp_path, "--live", page, "--grid", "mine")[0] == 0
    assert "mine   1 cell: 1 failed" in page.read_text() and "mine broke" in page.read_text()
    assert "zebra" not in page.read_text()
    annotate(failed, tags=["odd"])
    assert sslrun("report", tmp_path, "--live", page, "--tag", "odd")[0] == 0
    assert "zebra broke" in page.read_text() and "mine broke" not in page.read_text()


def test_a_search_is_drawn_by_optuna(tmp_path: Path) -> None:
    journal = tmp_path / "sweeps" / "look.journal"
    journal.parent.mkdir()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(journal)))
    study = optuna.create_study(study_name="look-0", storage=storage, sampler=optuna.samplers.RandomSampler(0))
    study.optimize(
        lambda trial: trial.suggest_float("optimizer.network.lr", 0, 1) ** 2 + trial.suggest_int("b", 0, 1), 8
    )
    before = plt.get_fignums()
    drawn = list(search_figures(tmp_path, "look"))
    assert [caption.split()[0] for caption, _ in drawn] == ["How", "Every"]
    assert all("<path" in as_svg(figure) for _, figure in drawn)
    assert plt.get_fignums() == before
    assert list(search_figures(tmp_path, "none")) == []


def test_an_empty_folder_gives_a_page_too(tmp_path: Path) -> None:
    assert "0 runs" in as_html(build(collect(tmp_path)))
