"""From a grid to finished cells: what there is to do and what it costs, then doing it, whatever crashes on the way.

Read `work` (what a job is and what state it is in), `plan`, `scheduler` (the loop), then `engine` (what carries jobs
out) and `local` (this machine's processes). `search` feeds jobs to the same loop. Results are runs' folders as ever.
"""
