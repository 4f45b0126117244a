"""A report as text: for the terminal, csv, json, markdown and LaTeX (booktabs). The page is `page`'s.

Each is a function of the `Document`; csv has the means in full precision, the others have all tables. `render` picks.
"""

import io
import json
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from sslrun import console
from sslrun.errors import InputError
from sslrun.report.document import Document, as_json
from sslrun.report.layout import Table, words

FORMATS = ("rich", "csv", "json", "markdown", "latex", "html")
BY_SUFFIX = {".csv": "csv", ".json": "json", ".md": "markdown", ".tex": "latex", ".html": "html", ".txt": "rich"}


def show(document: Document) -> None:
    """Print it on the terminal."""
    for table in document.tables:
        show_table(table)
        console.say()
    for line in closing(document):
        console.say(line)


def show_table(table: Table) -> None:
    """Print one table with its title and notes."""
    console.say(table.title, style="bold")
    console.table([[cell.text for cell in row] for row in table.rows], header=table.header)
    for note in table.notes:
        console.say(note, style="dim")


def closing(document: Document) -> list[str]:
    """The lines at the end: where the numbers come from, and what could not be read and why."""
    left_out = document.results.left_out
    lines = list(document.notes)
    if left_out:
        lines.append(f"left out {len(left_out)}:")
        lines += [f"  {path}   {why}" for path, why in left_out]
    return lines


def as_csv(document: Document) -> str:
    """Means by condition and metric, one a line, without any column that differs between equal runs."""
    text: str = document.summary.to_csv(index=False, lineterminator="\n")
    return text


def as_json_text(document: Document) -> str:
    """The report for programs."""
    return json.dumps(as_json(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_markdown(document: Document) -> str:
    """All tables, then the closing lines."""
    parts = [_markdown(table) for table in document.tables]
    parts.append("\n".join(f"- {_markdown_text(line.strip())}" for line in closing(document)))
    return "\n".join(parts) + "\n"


def _markdown(table: Table) -> str:
    rule = [":--" if left else "--:" for left in words(table)]
    lines = [table.header, rule, *([cell.text for cell in row] for row in table.rows)]
    rows = ["| " + " | ".join(map(_markdown_text, line)) + " |" for line in lines]
    return "\n".join([f"### {_markdown_text(table.title)}", "", *rows, "", *map(_markdown_text, table.notes), ""])


def _markdown_text(text: str) -> str:
    escaped = re.sub(r"([\\|*_`\[\]])", r"\\\1", text).replace("<", "&lt;")
    return re.sub(r"\s+", " ", escaped)


def as_latex(document: Document) -> str:
    """All tables for a paper (package booktabs), the closing lines as comments."""
    lines = ["% needs \\usepackage{booktabs}", *(f"% {line}" for line in closing(document)), ""]
    return "\n".join([*lines, *map(_latex, document.tables)])


def _latex(table: Table) -> str:
    columns = "".join("l" if left else "r" for left in words(table))
    lines = [" & ".join(map(_latex_text, [cell.text for cell in row])) + r" \\" for row in table.rows]
    caption = ". ".join([_latex_text(table.title), *map(_latex_text, table.notes)])
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
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
    minus = _NEGATIVE.sub("\0", re.sub(r"\s+", " ", text))
    return "".join(_LATEX.get(sign, sign) for sign in minus).replace("\0", "$-$")


def as_text(document: Document) -> str:
    """What `show` prints without a terminal."""
    with redirect_stdout(text := io.StringIO()):
        show(document)
    return text.getvalue()


def choose(name: str | None, out: Path | None) -> str:
    """The format that is asked for, or that the file's suffix says; `rich` else. Raises `InputError`."""
    chosen = name or (BY_SUFFIX.get(out.suffix.lower()) if out else "rich")
    if chosen not in FORMATS:
        raise InputError(
            f"no format {chosen!r}" if chosen else "the file's suffix tells no format",
            where=None if chosen else str(out),
            remedy=f"--format is one of {', '.join(FORMATS)}.",
        )
    return chosen


def render(document: Document, name: str) -> str:
    """The report in one of `FORMATS`."""
    if name == "html":
        from sslrun.report.page import as_html  # matplotlib takes a second to import

        return as_html(document)
    writers = {"rich": as_text, "csv": as_csv, "json": as_json_text, "markdown": as_markdown, "latex": as_latex}
    return writers[name](document)


def table_as_json(table: Table) -> dict[str, Any]:
    """One table for programs: its title, and a row of texts for each line."""
    return {"title": table.title, "header": list(table.header), "rows": [[c.text for c in row] for row in table.rows]}
