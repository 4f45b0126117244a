"""What every shipped recipe and every cell of every shipped grid is called: a change here loses people's results.

`identities.txt` has a line for each: the recipe or grid, the cell, the identity of its pretraining, those of its
evaluations; data and weights are stand-ins. A stored line may change only together with `numerics`, or that
of evaluations. New recipes get
lines by `python tests/net/test_identities.py`, which refuses to change an old one.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from sslrun.grids import read_grid
from sslrun.jobs.evaluating import cell_identity
from sslrun.recipe import Recipe, read_recipe
from sslrun.recipe.identity import identity
from sslrun.recipe.shipped import shipped, shipped_grids
from sslrun.runs.cells import CellName

STORED = Path(__file__).parent / "identities.txt"


@cache
def now() -> dict[str, str]:
    return dict(_lines())


def _lines() -> Iterator[tuple[str, str]]:
    for name in shipped():
        yield name, called(read_recipe(name))
    for name in shipped_grids():
        for cell in read_grid(name).cells:
            yield f"{name} {cell}", called(cell.recipe)


def called(recipe: Recipe) -> str:
    run = identity(recipe, "d" * 64, "w" * 64 if recipe.network.weights else None)
    asked = recipe.evaluation.asked()
    judged = [f"{name}={cell_identity(run, recipe, CellName(name), asked[name])[:16]}" for name in asked]
    return " ".join([run[:16], *judged])


def stored() -> dict[str, str]:
    pairs = (line.split("\t") for line in STORED.read_text(encoding="utf-8").splitlines())
    return dict(pairs)


def test_all_stored_identities_are_as_they_were() -> None:
    changed = [
        f"{cell}: {names}, now {now().get(cell)}" for cell, names in stored().items() if now().get(cell) != names
    ]
    assert not changed, "\n".join([f"{len(changed)} changed:", *changed[:5]])
    assert len(stored()) >= 1546


def test_recipes_that_came_later_are_stored_too() -> None:
    new = sorted(set(now()) - set(stored()))
    assert not new, f"store them: python {Path(__file__).name}\n" + "\n".join(new[:5])


if __name__ == "__main__":
    old = stored() if STORED.exists() else {}
    new = now()
    assert all(new[cell] == old[cell] for cell in old), "an old identity has changed"
    STORED.write_text("".join(f"{cell}\t{names}\n" for cell, names in new.items()), encoding="utf-8")
