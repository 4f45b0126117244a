"""Which cell of a grid is which run: `<results>/sweeps/<grid>.json`, written anew whenever a sweep is carried out.

Reports join on it. It holds nothing that the grid's file and the data don't say. Under `--small` or `--set` the cells
are others, and so is the file: `<grid>+small.json` and the like.
"""

from collections.abc import Sequence
from pathlib import Path

from sslrun.files import write_json
from sslrun.grids import Grid
from sslrun.sweep.work import Job, evaluations


def write_record(results: Path, grid: Grid, jobs: Sequence[Job]) -> Path:
    """Keep the grid's axes, baseline, notes and cells: labels, seed, run's identity, and those of its evaluations."""
    runs = {cell.key: job.identity for job in jobs for cell in job.cells}
    cells = []
    for cell in grid.cells:
        identity = runs[cell.key]
        named = {str(name): found for name, found in evaluations(identity, cell.recipe).items()}
        about = {"identity": identity, "evaluations": named}
        cells.append({"labels": cell.labels, "seed": cell.seed, **about})
    path = results / "sweeps" / f"{grid.record_name}.json"
    head = {"grid": grid.record_name, "notes": grid.file.notes, "axes": grid.axes, "seeds": list(grid.file.seeds)}
    write_json(path, {**head, "baseline": grid.file.baseline, "cells": cells})
    return path
