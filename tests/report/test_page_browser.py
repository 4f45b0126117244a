"""The report's page in a real browser: headless Chromium, if there is one."""

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from synthetic_runs import make_run

from sslrun.report.collecting import collect
from sslrun.report.document import build
from sslrun.report.page import as_html

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
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


def in_browser(page: str, script: str, folder: Path) -> Any:
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


def test_an_empty_folder_gives_a_page_too(tmp_path: Path) -> None:
    assert "0 runs" in as_html(build(collect(tmp_path)))
