"""What is reported of a folder of results, in every format, and how a run's first line reads for every kind.

`reports/` has the texts. `python tests/net/test_reports.py` writes them anew: look at `git diff` before you commit
them. Numbers are compared to nine digits; of a page's figures and unfolding texts only that they are there.
"""

import io
import json
import re
import sys
import tempfile
from contextlib import chdir, redirect_stderr, redirect_stdout
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from synthetic_runs import make_run

from sslrun.cli import main
from sslrun.errors import RecipeError
from sslrun.recipe import Recipe, read_recipe
from sslrun.report.summary import headline

STORED = Path(__file__).parent / "reports"
SUFFIXES = ("txt", "csv", "json", "md", "tex", "html")
DATA = (
    "{kind: digits}",
    "{kind: stl10}",
    "{kind: cifar10}",
    "{kind: cifar100}",
    "{kind: folder, path: /a/b/}",
    "{kind: digits_styles, held_out: [ink]}",
    "{kind: domains, path: c/d, held_out: [q, r]}",
    "{kind: pacs, held_out: [sketch]}",
    "{kind: domainnet}",
    "{kind: camelyon17}",
    "{kind: gaussian, count: 20, dim: 3}",
)
METHODS = (
    "{kind: byol}",
    "{kind: byol, ema: {kind: none}, predictor: {kind: mlp}}",
    "{kind: byol, stop_gradient: false, ema: {kind: none}}",
    "{kind: simsiam, predictor: {kind: none}}",
    "{kind: simsiam, predictor: {kind: directcopy}}",
    "{kind: simclr}",
    "{kind: swav}",
    "{kind: msn}",
)
VIT = ("network.backbone={kind: vit, patch: 4, width: 96}", "views.size=16")
OTHERS = (
    ("views.style={kind: fa}", "data={kind: pacs}"),
    ("views.style={kind: bss}", "data={kind: pacs}"),
    ("network.backbone={kind: resnet18, norm: group}",),
    ("network.backbone={kind: resnet50}", "training.precision=bf16"),
    ("network.backbone={kind: densenet121}",),
    VIT,
    ("network.backbone={kind: small_resnet}",),
    ("views.size=12",),
)


def results(folder: Path) -> Path:
    """A folder of made-up runs: three conditions, three seeds, one failed and one collapsed run."""
    for seed in range(3):
        make_run(folder, seed, knn=0.95 + seed / 100)
        make_run(folder, seed, "method.predictor={kind: linear}", knn=(0.92, 0.97, 0.90)[seed])
        make_run(folder, seed, "training.batch_size=32", knn=(0.82, 0.87, 0.80)[seed])
    make_run(folder, 3, "training.batch_size=16", state="failed", reason="100 % | of_memory & \\gone <b>")
    make_run(folder, 2, "training.batch_size=16", knn=0.4, state="collapsed", verdict="complete")
    return folder


def command(*arguments: str | Path) -> str:
    """What a command prints."""
    sys.argv = ["sslrun", *map(str, arguments)]
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            main()
        except SystemExit as ended:
            assert not ended.code, err.getvalue()
    return out.getvalue()


def texts(folder: Path) -> dict[str, str]:
    """All that is stored, by file, made anew."""
    found = {}
    with chdir(folder):
        runs = results(Path("results"))
        for suffix in SUFFIXES:
            out = Path(f"report.{suffix}")
            command(
                "report", runs, "--baseline", "predictor=linear", "--slope", "batch_size", "--other-data", "--out", out
            )
            found[f"baseline.{suffix}"] = out.read_text(encoding="utf-8")
        found["baseline.json"] = _without_settings(found["baseline.json"])
        by_both = ("--rows", "predictor", "--columns", "batch_size", "--without-collapsed")
        found["rows_and_columns.txt"] = command("report", runs, *by_both)
        two = sorted(path.name for path in runs.iterdir())[:2]
        found["two_runs.txt"] = command("compare", *two, "--results", runs)
    found["headlines.txt"] = "".join(f"{line}\n" for line in headlines())
    return {name: _plain(text) for name, text in found.items()}


def headlines() -> list[str]:
    """The first line of a run of each kind of data with each method, and of each backbone and style."""
    kinds = [(f"data={data}", f"method={method}") for data, method in product(DATA, METHODS)]
    folder = SimpleNamespace(path=Path("run"))
    lines = []
    for changes in (*kinds, *OTHERS):
        recipe = "linear_theory" if "gaussian" in changes[0] else "quickstart"
        needed = VIT if "msn" in changes[-1] else ()
        try:
            line = headline(read_recipe(recipe, [*needed, *changes]), folder, 1000, 16, "cpu")
        except RecipeError as error:
            line = f"refused: {error.what}"
        lines.append(f"{' '.join(changes)}\t{line}")
    return lines


def _without_settings(text: str) -> str:
    """A report for programs without the options of each run, which the schema's test has."""
    whole = json.loads(text)
    for run in whole["runs"]:
        for option in [name for name in run if name.partition(".")[0] in Recipe.model_fields]:
            del run[option]
    return json.dumps(whole, indent=1, ensure_ascii=False)


def _plain(text: str) -> str:
    """The text without last digits, figures and unfolding texts."""
    text = re.sub(r"<(svg|pre|style|script)\b.*?</\1>", r"<\1 …>", text, flags=re.DOTALL)
    return re.sub(r"\d+\.\d{9,}(e-\d+)?", lambda number: f"{float(number[0]):.9g}", text)


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    before = sys.argv
    try:
        return texts(tmp_path_factory.mktemp("net"))
    finally:
        sys.argv = before


@pytest.mark.parametrize("name", sorted(path.name for path in STORED.iterdir()))
def test_reports_are_as_they_were(name: str, now: dict[str, str]) -> None:
    assert now[name].splitlines() == (STORED / name).read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts(Path(folder)).items():
            (STORED / name).write_text(text, encoding="utf-8")
