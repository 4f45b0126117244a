"""Labels, notes and reasons of any text: tables stay whole in every format, nothing steers, nothing is a formula."""

import csv
import io
import re
from html.parser import HTMLParser

import pytest
from synthetic_runs import make_run

from sslrun.report import formats
from sslrun.report.collecting import collect
from sslrun.report.document import Document, build
from sslrun.runs.records import CellRecord, GridRecord

ODD = [
    *(
        "a|b",
        "a&b",
        "<b>bold</b>",
        'say "x"',
        "it's",
        "two\nlines",
        "cr\rlf",
        "tab\there",
        "50 %",
        "a_b^c~d#e{f}",
        "$x$",
    ),
    *(
        "\x1b[31mred",
        "\x9b2J",
        "\u202edesrever",
        "\\alpha",
        "`code`",
        "[link](x)",
        "# head",
        "é 😀 漢字",
        " ",
        "1e5",
        "–",
    ),
    *("=cmd|' /C calc'!A0", "+1+1", "-1", "@SUM(A1)", "\t=1", "x" * 500),
]
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    results = tmp_path_factory.mktemp("results")
    cells = []
    for number, label in enumerate(ODD):
        run = make_run(results, number, knn=0.9, state="done" if number % 3 else "failed", reason=f"why {label}")
        cells.append(CellRecord(labels={"odd": label}, seed=number, identity=run.identity))
    notes = "the first line\nsecond line & more\n\x1b[31m% third"
    GridRecord(grid="odd", notes=notes, axes={"odd": tuple(ODD)}, cells=tuple(cells)).write(results)
    return build(collect(results), baseline=f"odd={ODD[1]}", metrics=["knn"])


@pytest.mark.parametrize("name", formats.FORMATS)
def test_nothing_steers_in_any_format(document: Document, name: str) -> None:
    text = formats.FORMATS[name].write(document)
    assert not STEERING.search(text)
    shown = {"latex": r"\textbackslash{}u001b[31mred &", "markdown": r"| \\u001b\[31mred |"}.get(name, r"\u001b[31mred")
    assert shown in text


def test_a_row_is_a_line_on_the_terminal(document: Document) -> None:
    lines = formats.as_text(document).splitlines()
    for label in ("two lines", "a|b", "<b>bold</b>", "x" * 500):
        assert sum(line.startswith(f"{label} ") for line in lines) >= 1


def test_every_line_of_notes_is_a_latex_comment_and_every_row_has_its_columns(document: Document) -> None:
    text = formats.as_latex(document)
    head = text.partition(r"\begin{table}")[0]
    assert all(not line or line.startswith("%") for line in head.splitlines())
    assert "% second line & more" in head
    for table in text.split(r"\begin{tabular}{")[1:]:
        columns = len(table.partition("}")[0])
        rows = [line for line in table.partition(r"\end{tabular}")[0].splitlines() if line.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {columns - 1}
    captions = re.findall(r"\\caption\{(.*)\}", text)
    assert len(captions) == len(document.tables)
    assert all(caption.endswith(".") and ".." not in caption and ". ." not in caption for caption in captions)


def test_markdown_rows_have_their_columns(document: Document) -> None:
    for block in formats.as_markdown(document).split("### ")[1:]:
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
        assert "<b>" not in block


def test_csv_holds_no_formula_and_numbers_stay_numbers(document: Document) -> None:
    rows = list(csv.DictReader(io.StringIO(formats.as_csv(document))))
    labels = [row["odd"] for row in rows]
    assert len(labels) == len(ODD)
    assert {"'=cmd|' /C calc'!A0", "'+1+1", "'@SUM(A1)", "'\t=1", "-1", "1e5", "50 %", "a|b"} <= set(labels)
    for row in rows:
        assert all(not value or value[0] not in "=+@" for value in row.values())
        assert row["n"] in ("0", "1") and (not row["mean"] or float(row["mean"]) == 0.9)


def test_html_shows_texts_as_they_are(document: Document) -> None:
    page = formats.as_html(document)
    assert "<b>bold</b>" not in page and "&lt;b&gt;bold&lt;/b&gt;" in page
    seen: list[str] = []
    parser = HTMLParser()
    parser.handle_data = seen.append  # type: ignore[method-assign]
    parser.feed(page)
    assert {"a|b", "a&b", "<b>bold</b>", "it's", "[link](x)"} <= {text.strip() for text in seen}
