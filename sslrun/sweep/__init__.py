"""From a grid to finished cells: what there is to do and what it costs, then doing it, whatever crashes on the way.

Read `work` (what a job is and what state it is in), `plan`, `scheduler` (the loop), then `pool` and `worker` (the local
engine: one process a job). A search is a source of jobs for the same loop: `searching`, `search`, `study`. Results are
runs' folders as ever; `record` keeps which cell of the grid is which run.
"""
