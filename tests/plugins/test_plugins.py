"""Plug-ins: what they bring, what a recipe must say, what is refused and where the error points."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import warm
from tiny import small

from sslrun.errors import InputError, RecipeError
from sslrun.extend import build_predictor
from sslrun.grids import read_grid
from sslrun.recipe import json_schema, read_recipe, to_yaml
from sslrun.recipe.identity import identity, science
from sslrun.recipe.plugins import load_all
from sslrun.recipe.schema import LinearPredictor
from sslrun.recipe.schema.base import defined
from sslrun.recipe.schema.judging import EvaluationSection
from sslrun.sweeps.worker import _outcome

MIXED = (Path(__file__).parent / "mixed.py").read_text()
RECIPE = """\
imports: [mixed]
data: {kind: digits}
method: {kind: byol, predictor: {kind: mixed, mix: 0.2}}
"""
BARE = "data: {kind: digits}\nmethod: {kind: byol}\n"
PREFIX = "from typing import Literal\nfrom sslrun.extend import PredictorSection, build_predictor, option\n"

Write = Callable[[str, str], Path]


def test_a_recipe_names_its_plug_in(written: Write, tmp_path: Path) -> None:
    written("mixed", MIXED)
    (tmp_path / "r.yaml").write_text(RECIPE)
    recipe = read_recipe(tmp_path / "r.yaml")
    assert recipe.method.predictor.mix == 0.2
    assert recipe.imports == ("mixed",)
    (tmp_path / "again.yaml").write_text(to_yaml(recipe))
    assert read_recipe(tmp_path / "again.yaml", ["name=r"]) == recipe
    assert "MixedPredictor" in json_schema()["$defs"]


def test_its_options_get_the_messages_of_ours(written: Write, tmp_path: Path) -> None:
    written("mixed", MIXED)
    (tmp_path / "r.yaml").write_text(RECIPE.replace("mix:", "mx:"))
    with pytest.raises(RecipeError, match=r"r.yaml:3:47: method.predictor.mx: no such option(.|\n)*did you mean 'mix'"):
        read_recipe(tmp_path / "r.yaml")
    (tmp_path / "r.yaml").write_text(RECIPE.replace("0.2", "2"))
    with pytest.raises(RecipeError, match=r"method.predictor.mix: 2 is not allowed(.|\n)*at least 0, at most 1"):
        read_recipe(tmp_path / "r.yaml")
    (tmp_path / "r.yaml").write_text(RECIPE.replace("kind: mixed", "kind: mixd"))
    with pytest.raises(RecipeError, match=r"no such predictor: 'mixd'(.|\n)*did you mean 'mixed'"):
        read_recipe(tmp_path / "r.yaml")


def test_its_source_is_part_of_the_identity_of_runs_that_name_it(written: Write, tmp_path: Path) -> None:
    """Of those alone: in a process of its own for each state of the source, since a module is loaded once."""
    (tmp_path / "r.yaml").write_text(RECIPE)
    (tmp_path / "bare.yaml").write_text(BARE)

    def tell() -> None:
        for name in ("r.yaml", "bare.yaml"):
            print(identity(read_recipe(name), "d" * 64))

    def identities() -> list[str]:
        return warm.process(tell).communicate(timeout=60)[0].split()

    written("mixed", MIXED)
    named, bare = identities()
    assert [named, bare] == identities()
    written("mixed", MIXED + "# a comment\n")
    changed, still = identities()
    assert changed != named
    assert still == bare == identity(read_recipe(tmp_path / "bare.yaml"), "d" * 64)


def test_compare_names_the_plug_in_whose_source_is_another(
    written: Write, started: Callable[..., "subprocess.Popen[str]"], sslrun: Callable[..., tuple[int, str, str]]
) -> None:
    found: list[Path] = []
    for source in (MIXED, MIXED + "# a comment\n"):
        written("mixed", source)
        changes = small("method.predictor={kind: mixed}", "training.epochs=1", "evaluation={linear: null}")
        process = started("pretrain", "quickstart", "--import", "mixed", *changes, "--results", "r")
        assert process.wait(60) == 0
        found += [run for run in Path("r").glob("quickstart-*") if run not in found]
    first, second = found
    _, out, _ = sslrun("compare", first, second)
    assert "make another run" in out and "the source of the plug-in mixed" in out
    _, out, _ = sslrun("explain", first, second)
    assert "the source of the plug-in mixed" in out and "different science" in out
    for run, same in ((first, False), (second, True)):  # the source is the second's now
        for pair in ((run / "recipe.yaml", run), (run, run / "recipe.yaml")):
            _, out, _ = sslrun("explain", *pair)
            assert ("the source of the plug-in mixed" not in out) == same, out
    _, out, _ = sslrun("compare", first, first)
    assert "None." in out and "source" not in out


def test_a_recipe_that_does_not_name_it_can_not_use_it(written: Write, tmp_path: Path) -> None:
    written("mixed", MIXED)
    (tmp_path / "r.yaml").write_text(RECIPE)
    read_recipe(tmp_path / "r.yaml")
    (tmp_path / "other.yaml").write_text(RECIPE.replace("imports: [mixed]\n", ""))
    with pytest.raises(RecipeError, match=r"MixedPredictor is of the plug-in mixed: name that in `imports`") as told:
        read_recipe(tmp_path / "other.yaml")
    assert "method.predictor.kind" in str(told.value) and "kind: mixed" in str(told.value)  # where it is used


def test_from_the_command_line_and_by_file(written: Write, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "mixed.py").write_text(MIXED)
    (tmp_path / "r.yaml").write_text(BARE)
    changes = ["method.predictor={kind: mixed}"]
    assert read_recipe(tmp_path / "r.yaml", changes, imports=["rules/mixed.py"]).imports == ("mixed",)


def test_a_grid_names_it_for_all_cells(written: Write, tmp_path: Path) -> None:
    written("mixed", MIXED)
    (tmp_path / "r.yaml").write_text(BARE)
    axes = "axes: {rule: {ours: {}, mixed: {method.predictor: {kind: mixed}}}}\n"
    (tmp_path / "g.yaml").write_text(f"base: r.yaml\nimports: [mixed]\n{axes}")
    ours, mixed = read_grid(tmp_path / "g.yaml").cells
    assert mixed.recipe.method.predictor.kind == "mixed"
    assert ours.recipe.imports == mixed.recipe.imports == ("mixed",)
    (tmp_path / "g.yaml").write_text(f"base: r.yaml\nimports: [mixt]\n{axes}")
    with pytest.raises(RecipeError, match=r"g.yaml:2:11: no such module: mixt"):
        read_grid(tmp_path / "g.yaml")


@pytest.mark.parametrize(
    ("source", "where", "what"),
    [
        ("1 / 0\n", "bad.py:1", "the plug-in bad can't be imported: ZeroDivisionError: division by zero"),
        ("x = 1\n\ndef f(:\n", "bad.py:3", "the plug-in bad can't be imported: SyntaxError"),
        ("\nimport no_such_thing\n", "bad.py:2", "No module named 'no_such_thing'"),
        (
            f'{PREFIX}class Again(PredictorSection):\n    kind: Literal["linear"] = option(description="x")\n',
            "bad.py:3",
            "the Predictor kind 'linear' is that of sslrun.recipe.schema.predictor already",
        ),
        (
            f'{PREFIX}class Alone(PredictorSection):\n    kind: Literal["alone"] = option(description="x")\n',
            "bad.py:3",
            "nothing builds 'alone'",
        ),
        (
            f"{PREFIX}class Alone(PredictorSection):\n"
            '    kind: Literal["alone"] = option(description="x")\n    power: float = option(1.0, "x")\n',
            "bad.py:3",
            "no option of Alone can be called 'power': taken are BUILDER, GONE, NUMERICS, PAPERS, beyond_theory, needs",
        ),
        (
            f"{PREFIX}from sslrun.recipe.schema import LinearPredictor\n"
            "@build_predictor.register\ndef mine(section: LinearPredictor, dim, generator):\n    return None\n",
            "bad.py:4",
            "replaces what builds 'linear'",
        ),
        (
            "from sslrun.extend import EvaluationSection\n\nclass Nameless(EvaluationSection):\n    pass\n",
            "bad.py:3",
            "Nameless has no NAME: what recipes call the evaluation",
        ),
        (
            "from typing import Literal\nfrom sslrun.extend import DataSection, Dataset, open_dataset, option\n"
            'class Half(DataSection):\n    kind: Literal["half"] = option(description="x")\n\n'
            "@open_dataset.register(Half)\nclass HalfSet(Dataset):\n    shape = (1, 8, 8)\n",
            "bad.py:6",
            "HalfSet lacks facts and listing",
        ),
    ],
)
def test_a_bad_plug_in_is_refused_whole(
    written: Write, tmp_path: Path, source: str, where: str, what: str, sslrun: Callable[..., tuple[int, str, str]]
) -> None:
    """With its file and line, exit 2, nothing written; and nothing of it stays in the schema."""
    written("bad", source)
    (tmp_path / "r.yaml").write_text("imports: [bad]\n" + BARE)
    code, out, err = sslrun("pretrain", tmp_path / "r.yaml", "--results", tmp_path / "results")
    assert code == 2
    assert out == ""
    assert where in err.splitlines()[0]
    assert what in err
    assert "Traceback" not in err and "Warning" not in err
    assert not (tmp_path / "results").exists()
    (tmp_path / "bare.yaml").write_text(BARE)
    with pytest.raises(RecipeError, match="no such predictor: 'alone'"):
        read_recipe(tmp_path / "bare.yaml", ["method.predictor={kind: alone}"])
    assert "plugin" not in science(read_recipe(tmp_path / "bare.yaml").method)
    assert build_predictor(LinearPredictor(kind="linear"), 4, torch.Generator()) is not None


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("imports: [gone]\n" + BARE)
    with pytest.raises(RecipeError, match=r"r.yaml:1:11: no such module: gone(.|\n)*looked next to the recipe"):
        read_recipe(tmp_path / "r.yaml")
    with pytest.raises(InputError, match="no such module: gone"):
        read_recipe("quickstart", imports=["gone"])
    with pytest.raises(InputError, match=r"^gone\.py: no such file"):
        read_recipe("quickstart", imports=["gone.py"])
    (tmp_path / "r.yaml").write_text("imports: [gone.py]\n" + BARE)
    with pytest.raises(RecipeError, match=r"without \.py: gone"):
        read_recipe(tmp_path / "r.yaml")


def test_two_modules_of_one_name(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mixed.py").write_text(MIXED + f"# {folder}\n")
        (tmp_path / folder / "r.yaml").write_text(RECIPE)
    read_recipe(tmp_path / "a" / "r.yaml")
    with pytest.raises(InputError, match="another module of the name mixed is loaded"):
        read_recipe(tmp_path / "b" / "r.yaml")
    (tmp_path / "b" / "mixed.py").write_text(MIXED + "# a\n")  # a copy of the one that is loaded
    assert read_recipe(tmp_path / "b" / "r.yaml").imports == ("mixed",)


def test_a_section_that_no_recipe_can_name_never_enters_the_schema(written: Write, tmp_path: Path) -> None:
    class Stray(EvaluationSection):
        """Defined in passing, by no plug-in."""

        NAME = "stray"

    written("mixed", MIXED)
    (tmp_path / "r.yaml").write_text(RECIPE)
    read_recipe(tmp_path / "r.yaml")
    assert "stray" not in json_schema()["$defs"]["Evaluation"]["properties"]
    assert Stray not in defined(EvaluationSection)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        ("KeyError('rank')", "failed"),
        ("RuntimeError('shapes differ')", "failed"),
        ("RuntimeError('CUDA error: unspecified launch failure')", "crashed"),
        ("MemoryError()", "memory"),
        ('RuntimeError("can\'t allocate memory")', "memory"),
    ],
)
def test_what_goes_wrong_in_its_code_goes_wrong_again(written: Write, raised: str, kind: str) -> None:
    path = written("wrong", f"def work():\n    raise {raised}\n")
    load_all([path])
    outcome = _outcome(sys.modules["wrong"].work)
    assert outcome.kind == kind
    assert kind != "failed" or outcome.reason.startswith(f"{path}:2: ")
