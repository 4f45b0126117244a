import csv
import io
import json
from pathlib import Path

import pytest
from synthetic_runs import make_run

from sslrun.errors import InputError
from sslrun.report import formats
from sslrun.report.collecting import collect
from sslrun.report.document import Document, build


@pytest.fixture
def document(tmp_path: Path) -> Document:
    for seed in range(3):
        make_run(tmp_path, seed, knn=0.95 + seed / 100)
        make_run(tmp_path, seed, "method.predictor={kind: linear}", knn=(0.92, 0.97, 0.90)[seed])
    make_run(tmp_path, 3, state="failed", reason="100 % | of_memory & \\gone <b>")
    return build(collect(tmp_path), baseline="predictor=linear", metrics=["knn"])


def test_csv_holds_the_means_in_full(document: Document) -> None:
    rows = list(csv.DictReader(io.StringIO(formats.as_csv(document))))
    assert [(row["predictor"], row["metric"], row["n"], row["failed"]) for row in rows] == [
        ("directpred", "knn", "3", "1"),
        ("linear", "knn", "3", "0"),
    ]
    assert float(rows[0]["mean"]) == pytest.approx(0.96)


def test_json_holds_everything_without_nan(document: Document) -> None:
    whole = json.loads(formats.as_json_text(document))
    assert [row["mean"] for row in whole["conditions"]] == pytest.approx([0.96, 0.93])
    assert whole["comparisons"][0]["mean"] == pytest.approx(0.03)
    assert len(whole["runs"]) == 7
    assert whole["runs"][0]["labels"]["predictor"] in ("directpred", "linear")


def test_text_says_means_interval_n_and_what_follows(document: Document) -> None:
    text = formats.as_text(document)
    assert "0.960 ± 0.010   0.935 to 0.985   3   3 no collapse, 1 failed" in text
    assert "knn against predictor linear" in text
    assert "not distinguishable" in text and "could see   fresh seeds" in text


def test_markdown_tables_are_whole_whatever_is_in_them(document: Document) -> None:
    lines = formats.as_markdown(document).splitlines()
    tables = [line.replace("\\|", "") for line in lines if line.startswith("|")]
    widths = {line.count("|") for line in tables if "memory" in line}
    header = next(line for line in tables if line.startswith("| run"))
    assert widths == {header.count("|")}
    assert not any("<b>" in line for line in lines)


def test_latex_is_escaped_and_ruled(document: Document) -> None:
    text = formats.as_latex(document)
    assert r"0.960 $\pm$ 0.010" in text
    assert r"100 \% | of\_memory \& \textbackslash{}gone $<$b$>$" in text
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == len(document.tables)
    for table in text.split(r"\begin{tabular}{")[1:]:
        columns = len(table.partition("}")[0])
        body = table.partition(r"\end{tabular}")[0]
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert {line.replace(r"\&", "").count("&") for line in rows} == {columns - 1}


def test_the_format_is_the_files_unless_it_is_named() -> None:
    assert formats.choose(None, None) == "text"
    assert formats.choose(None, Path("a.tex")) == "latex"
    assert formats.choose("csv", Path("a.tex")) == "csv"
    for name, path in (("xml", None), (None, Path("table.xml"))):
        with pytest.raises(InputError, match="text, csv, json, markdown, latex, html"):
            formats.choose(name, path)


def test_equal_results_give_equal_bytes_in_every_format(document: Document) -> None:
    again = build(collect(document.results.folder), baseline="predictor=linear", metrics=["knn"])
    for name, known in formats.FORMATS.items():
        assert known.write(document) == known.write(again), name


def test_a_format_of_ones_own_is_one_function(document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "FORMATS", dict(formats.FORMATS))

    @formats.report_format("titles", ".titles")
    def titles(document: Document) -> str:
        return "\n".join(table.title for table in document.tables)

    assert formats.choose(None, Path("a.titles")) == "titles"
    assert "knn against predictor linear" in formats.FORMATS["titles"].write(document)
