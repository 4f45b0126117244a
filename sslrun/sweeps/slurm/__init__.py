"""The engine of a Slurm cluster: `engine` (as the scheduler sees it), `packing` (runs into jobs), `arrays` (what is
submitted, and files that tell of it), `queue` (what Slurm says), `allocation` (what a Slurm job does on its node).

Truth is in the runs' folders, and in squeue about what waits; `sacct` is never asked.
"""
