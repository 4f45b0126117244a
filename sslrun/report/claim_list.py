"""What the papers claim, and which of the shipped grids would test it: `sslrun claims`.

A grid tests a claim if one of its cells has the options that the claim is about, on the claim's data, as `scorecard`
matches runs; those that ask the same on other data the claim names itself. How the cells' recipes differ from the
paper's is for `scorecard` to say.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sslrun.grids import Grid, read_grid
from sslrun.recipe.shipped import shipped_grids
from sslrun.report.claims import Claim, matches, option_of, reference
from sslrun.report.table import Cell, Table, Texts

_EPOCHS = "training.epochs"


def claim_table(claims: Sequence[Claim]) -> Table:
    """One row a claim: what it says, where, its number, how it is known, and the grids that have it."""
    read = {name: read_grid(path, whole=True) for name, path in shipped_grids().items()}
    conditions = {name: _conditions(grid, claims) for name, grid in read.items()}
    tested = _tested([claim.match for claim in claims], claims, conditions)
    more = [f"--set {_EPOCHS}={claim.match[_EPOCHS]}" if _EPOCHS in claim.match else "" for claim in claims]
    """What a grid is to be given besides, to test a claim."""
    longer = [
        {option: value for option, value in claim.match.items() if option != _EPOCHS} if given and not grids else {}
        for claim, given, grids in zip(claims, more, tested, strict=True)
    ]
    for number, grids in enumerate(_tested(longer, claims, conditions)):
        if tested[number] or not grids:
            more[number] = ""
        tested[number] += grids
    elsewhere: list[list[str]] = [[] for _ in claims]
    for claim, here, other in zip(claims, tested, elsewhere, strict=True):
        for name in (name for name in claim.grids if name in read):
            if claim.value:
                other.append(f"{name} on {read[name].cells[0].recipe.data.words()}")
            else:
                here.append(name)
    rows = tuple(
        (
            Cell(claim.setting),
            Cell(f"{claim.paper}, {claim.table}"),
            Cell(claim.value or "no number"),
            Cell("the paper" if claim.verified else "second hand"),
            Cell(", ".join([*(" with ".join(filter(None, [grid, given])) for grid in grids), *other]) or "none"),
        )
        for claim, grids, given, other in zip(claims, tested, more, elsewhere, strict=True)
    )
    all_read = all(claim.verified for claim in claims)
    notes = ["Top-1 in per cent as printed." + " Second hand: not read in the paper itself." * (not all_read)]
    if (first := next((at for at, grids in enumerate(tested) if grids), None)) is not None:
        claim, grid = claims[first], tested[first][0]
        plan = " ".join(filter(None, ["sslrun sweep --grid", grid, more[first], "--plan"]))
        notes.append(f"One of the grids in full, without its data too:\n  {plan}")
        base = read[grid].file.base
        if claim.reference not in ("", base):
            notes.append(f"What it does otherwise than the paper:\n  sslrun explain {base} {claim.reference}")
    header: Texts = ("claim", "where", "paper, %", "known from", "grids that test it")
    return Table("What the papers claim", header, rows, tuple(notes))


def _conditions(grid: Grid, claims: Sequence[Claim]) -> list[tuple[str, dict[str, Any]]]:
    """The data and the options that claims are about of each condition of a grid: no claim is about a seed."""
    options = sorted({option for claim in claims for option in claim.match})
    recipes = {tuple(cell.labels.values()): cell.recipe for cell in grid.cells}.values()
    found = ((recipe.data.kind, {option: option_of(recipe, option) for option in options}) for recipe in recipes)
    return list({repr(one): one for one in found}.values())


def _tested(
    wanted: Sequence[Mapping[str, Any]],
    claims: Sequence[Claim],
    conditions: dict[str, list[tuple[str, dict[str, Any]]]],
) -> list[list[str]]:
    """For each claim the grids that have a condition with the `wanted` options."""
    found: list[list[str]] = [[] for _ in claims]
    for grid, known in conditions.items():
        kinds = {kind for kind, _ in known}
        for number, claim in enumerate(claims):
            chosen = next((one for _, one in known if matches(one, wanted[number])), None) if wanted[number] else None
            if chosen is not None:
                theirs = reference(claim, chosen)
                if theirs is None or theirs.data.kind in kinds:
                    found[number].append(grid)
    return found
