"""Grids: from a file that says what to vary to its cells, each a whole recipe. Needs no torch.

`schema.py` is the manual of the file, `grid.py` reads one, `checking.py` refuses what can't be meant, `space.py` is for
searches. It stands on `sslrun.recipe`; `sslrun.sweeps` runs the cells and `sslrun.report` makes tables of them.
"""

from sslrun.grids.grid import Cell, Grid, read_grid

__all__ = ["Cell", "Grid", "read_grid"]
