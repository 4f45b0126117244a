"""What the papers claim, and which of the shipped grids would test it: `sslrun claims`.

A grid tests a claim if one of its cells has the options that the claim is about, on the claim's data, as `scorecard`
matches runs; how the cells' recipes differ from the paper's is for it to say.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sslrun.grids import read_grid
from sslrun.recipe.schema import Recipe
from sslrun.recipe.shipped import shipped_grids
from sslrun.report.scorecard import Claim, matches, option_of, reference
from sslrun.report.table import Cell, Table, Texts

_EPOCHS = "training.epochs"


def claim_table(claims: Sequence[Claim]) -> Table:
    """One row a claim: what it says, where, its number, how it is known, and the grids that have it."""
    read = {name: read_grid(path, whole=True) for name, path in shipped_grids().items()}
    recipes = {name: [cell.recipe for cell in grid.cells] for name, grid in read.items()}
    tested = _tested([claim.match for claim in claims], claims, recipes)
    longer = [{option: value for option, value in claim.match.items() if option != _EPOCHS} for claim in claims]
    more = [""] * len(claims)
    """What a grid is to be given besides, to test a claim."""
    for number, grids in enumerate(_tested(longer, claims, recipes)):
        if not tested[number] and _EPOCHS in claims[number].match:
            tested[number] = grids
            more[number] = f"--set {_EPOCHS}={claims[number].match[_EPOCHS]}"
    rows = tuple(
        (
            Cell(claim.setting),
            Cell(f"{claim.paper}, {claim.table}"),
            Cell(claim.value or "no number"),
            Cell("the paper" if claim.verified else "second hand"),
            Cell(", ".join(" with ".join(filter(None, [grid, given])) for grid in grids) or "none"),
        )
        for claim, grids, given in zip(claims, tested, more, strict=True)
    )
    notes = ["Top-1 in per cent as printed. Second hand: not read in the paper itself."]
    if (first := next((at for at, grids in enumerate(tested) if grids), None)) is not None:
        claim, grid = claims[first], tested[first][0]
        plan = " ".join(filter(None, ["sslrun sweep --grid", grid, more[first], "--plan"]))
        notes.append(f"One of the grids in full, without its data too:\n  {plan}")
        base = read[grid].file.base
        if claim.reference not in ("", base):
            notes.append(f"What it does otherwise than the paper:\n  sslrun explain {base} {claim.reference}")
    header: Texts = ("claim", "where", "paper, %", "known from", "grids that test it")
    return Table("What the papers claim", header, rows, tuple(notes))


def _tested(
    wanted: Sequence[Mapping[str, Any]], claims: Sequence[Claim], recipes: dict[str, list[Recipe]]
) -> list[list[str]]:
    """For each claim the grids that have a cell with the `wanted` options."""
    options = sorted({option for match in wanted for option in match})
    found: list[list[str]] = [[] for _ in claims]
    for grid, cells in recipes.items():
        conditions = {repr(values): values for values in ({o: option_of(cell, o) for o in options} for cell in cells)}
        kinds = {cell.data.kind for cell in cells}
        for number, claim in enumerate(claims):
            for chosen in conditions.values() if wanted[number] else ():
                if matches(chosen, wanted[number]):
                    theirs = reference(claim, chosen)
                    if theirs is None or theirs.data.kind in kinds:
                        found[number].append(grid)
                    break
    return found
