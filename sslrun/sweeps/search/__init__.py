"""A search in place of a grid's axes: Optuna chooses options, each trial is a run, its outcome chooses the next.

`command` is one `sslrun sweep` of it, `trials` hands its runs to the scheduler, `study` is Optuna's study in a journal.
"""
