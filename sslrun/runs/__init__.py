"""Run folders: what a run leaves on the disk, who works on it, and one table of them all. No torch in here.

Start with `folder` (what lies where) and `records` (what is in its files, and a run's states), then `lease` (who holds
a run), `history`, `table` and `status`.
"""

from sslrun.runs.table import load_runs

__all__ = ["load_runs"]
