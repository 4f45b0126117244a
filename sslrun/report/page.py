"""The report as one self-contained HTML page: tables that sort, means, curves, spectra, recipes, environments, claims.

Everything is inline and nothing is fetched (the page forbids it itself); all text from runs is escaped. The template is
`page.html.j2` in this folder.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from sslrun import console
from sslrun.drawing import as_svg
from sslrun.files import read_json, write_text
from sslrun.report import charts, layout
from sslrun.report.document import Document
from sslrun.report.search_figures import search_figures
from sslrun.report.table import Cell, Table
from sslrun.report.tables import conditions
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import State
from sslrun.runs.status import overview

_MOST_RECIPES = 60
_REFRESH_SECONDS = 15
_QUIET = 8
"""So many looks at which nothing runs, though cells wait: nobody is at work on them."""
_LONG = 48


@dataclass(frozen=True)
class Drawn:
    """An <svg> and what it shows."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Text:
    """A text to unfold."""

    title: str
    content: str


@dataclass(frozen=True)
class Part:
    """A part of the page with its title and its anchor."""

    title: str
    id: str
    tables: Sequence[Table] = ()
    figures: Sequence[Drawn] = ()
    texts: Sequence[Text] = ()
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class Running:
    """A run under way: how far it is, and its last signals."""

    name: str
    done: float
    words: str


@dataclass(frozen=True)
class Progress:
    """Where everything stands at this moment; `lines` are those of `sslrun status`, `at` the time of looking, and
    `waiting` how many cells of grids have not been begun."""

    at: str
    lines: Sequence[str]
    running: Sequence[Running]
    waiting: int


def progress(results: Path, grid: str | None = None, tags: Sequence[str] = ()) -> Progress:
    """Look at the runs of a folder: all, or a grid's, or those that have all tags."""
    found = overview(results, tags, grid=grid)
    running = [
        Running(
            found.labels.get(name, name),
            now.epoch / now.epochs if now.epochs else 0.0,
            "   ".join(filter(None, (" ".join(pair) for pair in zip(_SEEN, now.words(), strict=True) if pair[1]))),
        )
        for name, now in found.runs.items()
        if now.state == State.RUNNING
    ]
    lines = [line for line in found.lines() if not line.startswith("running")]
    waiting = sum(cells.get(state, 0) for cells in found.grids.values() for state in ("waiting", State.QUEUED))
    return Progress(datetime.now().astimezone().strftime("%H:%M:%S"), lines, running, waiting)


_SEEN = ("epoch", "loss", "std", "images a second")


def as_html(document: Document, now: Progress | None = None, refresh: int | None = None) -> str:
    """The whole page; with where things stand `now`, and told to load itself again after `refresh` seconds."""
    results = document.results
    title = f"sslrun report: {results.grid or results.folder.resolve().name}"
    parts = [
        part for part in _parts(document, now is not None) if part.tables or part.figures or part.texts or part.lines
    ]
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    left = {table.title: table.words for part in parts for table in part.tables}
    page = templates.get_template("page.html.j2")
    return page.render(
        title=title,
        notes=[*document.notes, *([f"printed by: {document.command}"] if document.command else [])],
        sections=parts,
        left=left,
        attributes=_attributes,
        now=now,
        refresh=refresh,
    )


def _attributes(cell: Cell, left: bool) -> Markup:
    kinds = [*(["words"] if left else []), *(["long"] if len(cell.text) > _LONG else [])]
    shown = f' class="{" ".join(kinds)}"' if kinds else ""
    value = f' data-value="{cell.value!r}"' if cell.value is not None and cell.value == cell.value else ""
    return Markup(shown + value)


def _parts(document: Document, live: bool) -> list[Part]:
    results = document.results
    scored = layout.scored(document.matched)
    alone = layout.unscored([score for score in document.scores if score.ours is None])
    found = charts.histories(results, unfinished=live) if len(results.runs) else {}
    about = f"Means over seeds of {len(found)} condition{'s' * (len(found) != 1)}."
    courses = [
        (about, charts.curves(found, results)),
        ("Eigenvalues of the correlation F of the projector's outputs, largest first.", charts.spectra(found)),
    ]
    dots = (
        (f"{metric}: means over seeds.", charts.dots(results, metric, document.without_collapsed))
        for metric in document.metrics
    )
    searched = search_figures(results.folder, results.grid) if results.grid else ()
    return [
        Part("Results", "results", [table for table in document.tables if table.title != scored.title]),
        Part("Ablation", "ablation", figures=_drawn(dots)),
        Part("Courses and spectra", "courses", figures=_drawn(courses)),
        Part("Search", "search", figures=_drawn(searched)),
        Part(scored.title, "scorecard", [scored] if scored.rows else []),
        Part("Recipes", "recipes", texts=_recipes(document)),
        Part("Environments", "environments", texts=_environments(document)),
        Part(alone.title, "claims", [alone] if alone.rows else []),
        Part("Left out", "left-out", lines=[f"{path}: {why}" for path, why in results.left_out]),
    ]


def _drawn(figures: Iterable[tuple[str, Figure | None]]) -> list[Drawn]:
    """Those that there are, from their captions and figures."""
    return [Drawn(as_svg(figure), caption) for caption, figure in figures if figure is not None]


def _recipes(document: Document) -> list[Text]:
    """The resolved recipe of each condition's first run."""
    results = document.results
    folders = results.runs["folder"].tolist() if len(results.runs) else []
    texts: list[Text] = []
    for labels, members in conditions(results).items():
        row = next((row for row in members if isinstance(folders[row], str)), None)
        if row is not None and len(texts) < _MOST_RECIPES:
            try:
                content = RunFolder(results.folder / folders[row]).recipe.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            texts.append(Text(f"{', '.join(labels) or 'all runs'}   ({folders[row]})", content))
    return texts


def _environments(document: Document) -> list[Text]:
    """What the runs ran on, each machine's once; host names stay out of a page that may be published."""
    results, counts = document.results, dict[str, int]()
    for name in results.runs["folder"].tolist() if len(results.runs) else []:
        try:
            about = read_json(RunFolder(results.folder / str(name)).environment)
            shown = json.dumps(
                {key: about[key] for key in about if key not in ("host", "data")}, indent=2, ensure_ascii=False
            )
        except (OSError, ValueError, TypeError):
            continue
        counts[shown] = counts.get(shown, 0) + 1
    return [Text(f"{count} run{'s' * (count > 1)}", shown) for shown, count in counts.items()]


def keep_live(
    path: Path,
    results: Path,
    look: Callable[[], Document],
    grid: str | None = None,
    tags: Sequence[str] = (),
    *,
    wait: Callable[[], None] = lambda: time.sleep(_REFRESH_SECONDS),
) -> None:
    """Write the page of what `look` gives, of a `grid` or of runs with `tags` if it is, until none of these runs any
    more; the last one does not load itself again.

    Nothing is served, so it works on any disk that both machines see.
    """
    quiet = 0
    while True:
        now = progress(results, grid, tags)
        quiet = 0 if now.running else quiet + 1
        over = not now.running and (now.waiting == 0 or quiet >= _QUIET)
        html = as_html(look(), now, None if over else _REFRESH_SECONDS)
        write_text(path, console.visible(html))
        if over:
            return
        wait()
