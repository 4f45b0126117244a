"""A report in every format: text for the terminal, csv, json, markdown, LaTeX (booktabs) and an HTML page.

Each is a function of the `Document`, registered with its file's suffix; csv has the means in full precision, the others
have all tables. Nothing heavy is imported, so that the command line can list the formats.
"""

import io
import json
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

from sslrun import console
from sslrun.errors import InputError
from sslrun.report.table import Table

if TYPE_CHECKING:
    from sslrun.report.document import Document

Write = Callable[["Document"], str]
TERMINAL = "text"
"""The format of what is not written to a file."""


@dataclass(frozen=True)
class Format:
    """How a report is written, and the suffix of files that have it."""

    suffix: str
    write: Write


FORMATS: dict[str, Format] = {}


def report_format(name: str, suffix: str) -> Callable[[Write], Write]:
    """Register a function from the document to its text as the format `name`."""

    def register(write: Write) -> Write:
        @wraps(write)
        def shown(document: "Document") -> str:
            return console.visible(write(document))

        FORMATS[name] = Format(suffix, shown)
        return shown

    return register


def choose(name: str | None, out: Path | None) -> str:
    """The format that is asked for, or that the file's suffix says; the terminal's else. Raises `InputError`."""
    by_suffix = {known.suffix: each for each, known in FORMATS.items()}
    chosen = by_suffix.get(f".{name}", name) if name else (by_suffix.get(out.suffix.lower()) if out else TERMINAL)
    if chosen not in FORMATS:
        raise InputError(
            f"no format {chosen!r}" if chosen else "the file's suffix tells no format",
            where=None if chosen else str(out),
            remedy=f"--format is one of {', '.join(FORMATS)}; a .png, .svg or .pdf is drawn.",
        )
    return chosen


def show(document: "Document") -> None:
    """Print it on the terminal."""
    for table in document.tables:
        show_table(table)
    for line in closing(document):
        console.say(line)


def show_table(table: Table) -> None:
    """Print one table with its title and notes, and an empty line."""
    console.say(table.title, style="bold")
    console.table(table.texts, header=table.header)
    for note in table.notes:
        console.say(note, style="dim")
    console.say()


def show_entries(table: Table) -> None:
    """Print a table of sentences, each row as an entry, with its title and notes."""
    console.say(table.title, style="bold")
    console.entries(table.texts, table.header)
    console.say()
    for note in table.notes:
        console.say(note, style="dim")


def closing(document: "Document") -> list[str]:
    """The lines at the end: where the numbers come from, and what could not be read and why."""
    left_out = document.results.left_out
    lines = [*document.notes, *([f"printed by: {document.command}"] if document.command else [])]
    if left_out:
        lines.append(f"left out {len(left_out)}:")
        lines += [f"  {path}   {why}" for path, why in left_out]
    return lines


@report_format(TERMINAL, ".txt")
def as_text(document: "Document") -> str:
    """What `show` prints without a terminal."""
    with redirect_stdout(text := io.StringIO()):
        show(document)
    return text.getvalue()


@report_format("csv", ".csv")
def as_csv(document: "Document") -> str:
    """Means by condition and metric, one a line, without any column that differs between equal runs."""
    harmless = document.summary.rename(columns=_harmless)
    words = harmless.select_dtypes(exclude="number").columns
    harmless[words] = harmless[words].map(_harmless)
    text: str = harmless.to_csv(index=False, lineterminator="\n")
    return text


def _harmless(text: object) -> object:
    """Text that a spreadsheet takes for a formula, with the sign that tells it otherwise; numbers stay numbers."""
    return f"'{text}" if isinstance(text, str) and _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


_FORMULA = re.compile(r"[\s\x00-\x1f]*[=+\-@]")
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")


@report_format("json", ".json")
def as_json_text(document: "Document") -> str:
    """The report for programs."""
    from sslrun.report.document import as_json

    return json.dumps(as_json(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


@report_format("markdown", ".md")
def as_markdown(document: "Document") -> str:
    """All tables, then the closing lines; the command, if it is known, in a block as `sslrun verify` reads it."""
    parts = [_markdown(table) for table in document.tables]
    parts.append("\n".join(f"- {_markdown_text(line.strip())}" for line in closing(replace(document, command=""))))
    parts += [f"\n```\n{document.command}\n```"] if document.command else []
    return "\n".join(parts) + "\n"


def _markdown(table: Table) -> str:
    rule = [":--" if left else "--:" for left in table.words]
    lines = [table.header, rule, *table.texts]
    rows = ["| " + " | ".join(map(_markdown_text, line)) + " |" for line in lines]
    return "\n".join([f"### {_markdown_text(table.title)}", "", *rows, "", *map(_markdown_text, table.notes), ""])


def _markdown_text(text: str) -> str:
    escaped = re.sub(r"([\\|*_`\[\]])", r"\\\1", console.visible(text)).replace("<", "&lt;")
    return re.sub(r"\s+", " ", escaped)


@report_format("latex", ".tex")
def as_latex(document: "Document") -> str:
    """All tables for a paper (package booktabs), each with a label, the closing lines as comments. What several tables
    are explained by stands in the caption of the last; the others point there."""
    said = (line for text in closing(document) for line in console.visible(text).splitlines())
    lines = ["% needs \\usepackage{booktabs}", *(f"% {line}".rstrip() for line in said), ""]
    grid = document.results.grid or ""
    explained = {table.header: _label(grid, table) for table in document.tables if table.notes}
    texts = (_latex(table, _label(grid, table), explained.get(table.header, "")) for table in document.tables)
    return "\n".join([*lines, *texts])


def _label(grid: str, table: Table) -> str:
    return "tab:" + re.sub(r"[^a-z0-9]+", "-", f"{grid} {table.title}".lower()).strip("-")


def _latex(table: Table, label: str, explained: str) -> str:
    columns = "".join("l" if left else "r" for left in table.words)
    lines = [" & ".join(map(_latex_text, row)) + r" \\" for row in table.texts]
    caption = " ".join(f"{_latex_text(text).rstrip('.')}." for text in (table.title, *table.notes))
    caption += rf" Columns as in Table~\ref{{{explained}}}." if explained and not table.notes else ""
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(_latex_text, table.header)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: "\\" + sign for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "±": r"$\pm$",
    "–": "--",
    "×": r"$\times$",
}
_NEGATIVE = re.compile(r"(?<![\w.)])-(?=\d)")


def _latex_text(text: str) -> str:
    minus = _NEGATIVE.sub("\0", re.sub(r"\s+", " ", console.visible(text)))
    return "".join(_LATEX.get(sign, sign) for sign in minus).replace("\0", "$-$")


@report_format("html", ".html")
def as_html(document: "Document") -> str:
    """One self-contained page, with figures."""
    from sslrun.report import page  # matplotlib takes a second to import

    return page.as_html(document)
