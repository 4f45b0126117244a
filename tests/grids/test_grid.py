"""Grids: what they expand to, and for each way of getting one wrong, where the error points and what it says."""

import re
from pathlib import Path

import pandas as pd
import pytest

from sslrun.errors import RecipeError
from sslrun.grids import grid as grids
from sslrun.grids import read_grid
from sslrun.recipe import read_recipe
from sslrun.recipe.reading import as_asked
from sslrun.recipe.shipped import shipped_grids
from sslrun.report.collecting import Results
from sslrun.report.tables import comparisons, summary

GRID = """\
base: quickstart
set:
  training: {epochs: 4}
axes:
  predictor:
    none: {method.predictor: {kind: none}}
    direct: {}
  ema:
    "0.9": {method.ema.momentum: 0.9}
    "0.99": {method: {ema: {momentum: 0.99}}}
  k: {"5": {}, "20": {evaluation.knn.k: 20}}
exclude:
  - {predictor: none, ema: ["0.9"]}
seeds: 2
baseline: {predictor: direct}
small: {data.limit: 256}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "my_grid.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_cells_are_the_product_without_exclusions_seed_by_seed(tmp_path: Path) -> None:
    grid = read_grid(write(tmp_path, GRID), ["training.batch_size=64"], small=True)
    assert grid.axes == {"predictor": ("none", "direct"), "ema": ("0.9", "0.99"), "k": ("5", "20")}
    assert len(grid.cells) == (2 * 2 * 2 - 2) * 2
    assert [cell.seed for cell in grid.cells] == [0] * 6 + [1] * 6
    first = grid.cells[0]
    assert str(first) == "predictor=none ema=0.99 k=5 seed=0"
    base = read_recipe("quickstart")
    for cell in grid.cells:
        recipe = cell.recipe
        assert (recipe.name, recipe.seed) == ("my_grid", cell.seed)
        assert (recipe.training.epochs, recipe.training.batch_size, recipe.data.limit) == (4, 64, 256)
        assert recipe.method.kind == "byol" and recipe.method.ema.kind == "constant"
        assert recipe.method.ema.momentum == float(cell.labels["ema"])
        assert recipe.method.predictor.kind == {"none": "none", "direct": "directpred"}[cell.labels["predictor"]]
        assert recipe.evaluation.knn is not None and recipe.evaluation.knn.k == int(cell.labels["k"])
        assert recipe.views == base.views


def test_a_condition_is_checked_once_however_many_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[int] = []
    monkeypatch.setattr(grids, "as_asked", lambda cell, whole: checked.append(1) or as_asked(cell, whole=whole))
    cells = read_grid(write(tmp_path, GRID.replace("seeds: 2", "seeds: 9"))).cells
    assert len(checked) == 6 and len(cells) == 6 * 9
    assert [cell.recipe.seed for cell in cells] == [cell.seed for cell in cells]
    assert cells[0].recipe.model_copy(update={"seed": 8}) == cells[6 * 8].recipe


def test_a_rule_may_leave_out_cells_of_some_seeds(tmp_path: Path) -> None:
    rules = "  - {k: '5', seed: 1}\n  - {k: '20', seed: [0]}\nseeds: 2"
    grid = read_grid(write(tmp_path, GRID.replace("seeds: 2", rules)))
    assert {(cell.labels["k"], cell.seed) for cell in grid.cells} == {("5", 0), ("20", 1)}
    assert len(grid.cells) == 3 * 2
    with pytest.raises(RecipeError, match=r"no such seed of this grid: 2\n(.*\n)*.*seeds: 0, 1"):
        read_grid(write(tmp_path, GRID.replace("seeds: 2", "  - {k: '5', seed: 2}\nseeds: 2")))


@pytest.mark.parametrize(
    ("changes", "small", "name"),
    [
        ((), False, "my_grid"),
        ((), True, "my_grid+small"),
        (("training.batch_size=64",), False, "my_grid+[0-9a-f]{6}"),
        (("training.batch_size=64",), True, "my_grid+small+[0-9a-f]{6}"),
        (("run={threads: 1}", "run.device=cpu", "data.stream=never"), False, "my_grid"),
        (("network.weights=encoder.pt",), False, "my_grid+[0-9a-f]{6}"),
    ],
)
def test_other_cells_have_another_record_but_runs_are_called_alike(
    tmp_path: Path, changes: tuple[str, ...], small: bool, name: str
) -> None:
    grid = read_grid(write(tmp_path, GRID), changes, small=small)
    assert re.fullmatch(name.replace("+", r"\+"), grid.record_name)
    assert {grid.name, *(cell.recipe.name for cell in grid.cells)} == {"my_grid"}


@pytest.mark.parametrize("search", [False, True])
def test_runs_of_small_are_tagged_besides_their_own_tags(tmp_path: Path, search: bool) -> None:
    text = GRID.replace("small: {", "small: {run.tags: [mine], ")
    if search:
        fields = "{method.ema.momentum: {low: 0.9, high: 0.99}}"
        text = f"base: quickstart\nsearch: {{trials: 3, fields: {fields}}}\nsmall: {{data.limit: 256}}\n"
    path = write(tmp_path, text)
    own = () if search else ("mine",)
    assert {cell.recipe.run.tags for cell in read_grid(path, small=True).cells} == {(*own, "small")}
    assert {cell.recipe.run.tags for cell in read_grid(path, ["run.tags=[a]"], small=True).cells} == {("a", "small")}
    assert {cell.recipe.run.tags for cell in read_grid(path).cells} == {()}
    for wrong in ("run.tags=abc", "run=3"):
        with pytest.raises(RecipeError, match="run"):
            read_grid(path, [wrong], small=True)


def test_a_record_is_named_by_what_changes_say_not_how(tmp_path: Path) -> None:
    path = write(tmp_path, GRID)
    said = [
        ("training.batch_size=64", "optimizer.network.lr=0.1"),
        ("optimizer.network={lr: 0.1}", "training.batch_size=32", "training.batch_size =  64"),
        ("training.batch_size=32", "optimizer.network.lr=0.1"),
    ]
    one, same, other = (read_grid(path, changes).record_name for changes in said)
    assert one == same != other
    without = write(tmp_path, GRID.replace("small: {data.limit: 256}", ""))
    assert read_grid(without, small=True).record_name == "my_grid"


def test_a_grid_may_have_seeds_alone_and_its_base_beside_it(tmp_path: Path) -> None:
    text = "seed: 5\ndata: {kind: digits}\nmethod: {kind: simsiam, predictor: {kind: linear}}\n"
    (tmp_path / "mine.yaml").write_text(text)
    grid = read_grid(write(tmp_path, "base: mine.yaml\nseeds: [7, 3]\n"))
    assert [cell.recipe.seed for cell in grid.cells] == [7, 3]
    assert grid.cells[0].recipe.data.limit is None and grid.cells[0].labels == {}


@pytest.mark.parametrize("name", sorted(shipped_grids()))
def test_shipped_grids_are_whole(name: str) -> None:
    for small in (False, True):
        grid = read_grid(name, small=small)
        assert len(grid.cells) >= 24 or not name.startswith("ablations")
        assert len({cell.recipe.model_dump_json() for cell in grid.cells}) == len(grid.cells)


# (replaced in GRID, replacement, line:column or name of the base, fragments of the message)
BROKEN: list[tuple[str, str, str, tuple[str, ...]]] = [
    ("axes:", "axis:", "4:1", ("axis: no such section", "did you mean 'axes'?")),
    ("base: quickstart", "base: quickstrat", "1:7", ("'quickstrat': no such file", "quickstart")),
    ("direct: {}", "direct: {method.predictor.epsilom: 1}", "7:14", ("epsilom", "mean 'epsilon'?", "ema=0.9")),
    ("direct: {}", "direct: {method: {predictor: {rho: 2}}}", "7:40", ("method.predictor.rho", "2 is not allowed")),
    ("direct: {}", "direct: 3", "7:13", ("axes.predictor.direct: an axis has labels",)),
    ("direct: {}", "direct: {method.ema.momentum: 0.5}", "", ("is set by two axes, predictor and ema",)),
    ("direct: {}", "direct: {seed: 4}", "7:14", ("seed is not set by partial recipes", "`seeds`")),
    ("{predictor: none, ", "{predictr: none, ", "13:6", ("no such axis: predictr", "mean 'predictor'?")),
    ('ema: ["0.9"]', 'ema: ["0.8"]', "13:28", ("no such label of ema: '0.8'", "labels: 0.9, 0.99")),
    ('["0.9"]', "[0.9]", "13:28", ("no such label of ema: 0.9", "mean '0.9'?")),
    ("{predictor: direct}", "{predictor: directt}", "15:23", ("no such label of predictor", "mean 'direct'?")),
    ("seeds: 2", "seeds: 0", "14:8", ("a number from 1 to",)),
    ("seeds: 2", "seeds: [1, 1]", "14:8", ("a list of different whole numbers",)),
    ("  - {predictor: none", "  - {predictor: [none, direct]}\n  - {predictor: none", "12:1", ("every cell",)),
    ("{epochs: 4}", "{epochs: 0}", "3:22", ("training.epochs: 0 is not allowed",)),
    ("{data.limit: 256}", "{method.ema.momentum: 0.5}", "16:9", ("what the axis ema varies", "--only ema=")),
    (
        "{data.limit: 256}",
        "{data.limit: 2}",
        "quickstart.yaml:",
        ("larger than the 2 images",),
    ),
    ("k: {", "seed: {", "11:3", ("can't be the name of an axis", "`seeds: N`")),
    ("k: {", "k=5: {", "11:3", ("can't be the name of an axis", "without =")),
    ("k: {", "p_holm: {", "11:3", ("can't be the name of an axis", "of their own: metric, n, mean, std")),
    ('ema: ["0.9"]', 'ema: [["0.9"]]', "13:28", ('no such label of ema: ["0.9"]', "labels: 0.9, 0.99")),
    ('ema: ["0.9"]', "ema: {a: 1}", "13:28", ("no such label of ema: a section of options",)),
    ("{predictor: none, ", "{predictor: direct}\n  - {predictor: none, ", "16:1", ("my_grid.yaml:13:5",)),
    ("baseline: {predictor: direct}", 'baseline: {predictor: none, ema: "0.9"}', "15:1", ("my_grid.yaml:13:5",)),
    ('k: {"5": {}, "20": {evaluation.knn.k: 20}}', "k: {}", "11:3", ("needs labels",)),
    ('k: {"5": {}, "20": {evaluation.knn.k: 20}}', "k: [5, 20]", "11:6", ("has labels", '"5": {OPTION: 5}')),
    ('"20": {evaluation.knn.k: 20}', "many: 20", "11:22", ('"many": {OPTION: 20}',)),
    ("axes:", "training: {epochs: 2}\naxes:", "", ("training: belongs to recipes", "`set`: set: {training: ...}")),
]


@pytest.mark.parametrize(("old", "new", "where", "told"), BROKEN)
def test_errors_point_at_the_mistake(tmp_path: Path, old: str, new: str, where: str, told: tuple[str, ...]) -> None:
    assert old in GRID
    path = write(tmp_path, GRID.replace(old, new))
    with pytest.raises(RecipeError) as caught:
        read_grid(path, small=True)
    assert caught.value.exit_code == 2
    assert (where if ".yaml" in where else f"{path.name}:{where}") in str(caught.value).splitlines()[0]
    for text in told:
        assert text in str(caught.value)


def test_a_baseline_may_be_there_for_some_conditions(tmp_path: Path) -> None:
    assert len(read_grid(write(tmp_path, GRID.replace("{predictor: direct}", "{predictor: none}"))).cells) == 12


def test_no_axis_is_called_as_a_column_of_the_report(tmp_path: Path) -> None:
    nothing = Results(tmp_path, pd.DataFrame({"seed": [], "status": []}), (), {}, None, {}, ())
    columns = {*summary(nothing, []).columns, *comparisons(nothing, [], {}).columns}
    assert {"n", "p_holm", "missing"} < columns
    for name in columns:
        with pytest.raises(RecipeError, match="can't be the name of an axis"):
            read_grid(write(tmp_path, GRID.replace("k: {", f"{name}: {{")))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("method.ema.momentum=0.5", "what the axis ema varies"),
        ("method.ema=null", "what the axis ema varies"),
        ("seed=3", "--only seed=N"),
        ("trainig.epochs=3", "did you mean 'training'?"),
    ],
)
def test_overrides_are_checked_against_the_axes(tmp_path: Path, change: str, told: str) -> None:
    with pytest.raises(RecipeError, match=r"^--set") as caught:
        read_grid(write(tmp_path, GRID), [change])
    assert told in str(caught.value)


def test_an_unknown_grid_names_the_shipped_ones() -> None:
    with pytest.raises(RecipeError, match="ablations_digits"):
        read_grid("ablation_digits")
