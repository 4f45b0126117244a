"""A report as text: for the terminal, csv, json, markdown and LaTeX (booktabs). The page is `page`'s.

Each is a function of the `Document`; csv has the means in full precision, the others have all tables.
"""

import io
import json
import re
from collections.abc import Sequence
from contextlib import redirect_stdout

from sslrun import console
from sslrun.report.document import Document, as_json
from sslrun.report.layout import Cell, Table

FORMATS = ("rich", "csv", "json", "markdown", "latex", "html")
BY_SUFFIX = {".csv": "csv", ".json": "json", ".md": "markdown", ".tex": "latex", ".html": "html", ".txt": "rich"}


def show(document: Document) -> None:
    """Print it on the terminal."""
    for table in document.tables:
        console.say(table.title, style="bold")
        console.table([[cell.text for cell in row] for row in table.rows], header=table.header)
        for note in table.notes:
            console.say(note, style="dim")
        console.say()
    for line in closing(document):
        console.say(line)


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
    rule = [":--" if left else "--:" for left in _left_columns(table)]
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
    columns = "".join("l" if left else "r" for left in _left_columns(table))
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


def _left_columns(table: Table) -> list[bool]:
    """Which columns are words, to be set to the left: those with no numbers in them."""
    columns: Sequence[Sequence[Cell]] = [[row[i] for row in table.rows] for i in range(len(table.header))]
    return [all(cell.value is None for cell in column) for column in columns]


def captured(document: Document) -> str:
    """What `show` prints without a terminal."""
    with redirect_stdout(text := io.StringIO()):
        show(document)
    return text.getvalue()
