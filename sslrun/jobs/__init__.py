"""One job: pretrain a run, evaluate one. The command line, the Python API and sweeps call this, nothing beneath.

A job is named by its science: it finds its folder by identity, takes the lease, goes on from where an earlier process
stopped, and writes each result as a file of its own. Doing a finished job again costs a look at the folder. Read
`places`, then `pretraining`, then `evaluating`.
"""

from sslrun.jobs.evaluating import asked_for, cell_identity, evaluate_run, evaluation_job
from sslrun.jobs.places import Places, choose_device, identify, places
from sslrun.jobs.pretraining import follow_job, pretrain_job

__all__ = [
    "Places",
    "asked_for",
    "cell_identity",
    "choose_device",
    "evaluate_run",
    "evaluation_job",
    "follow_job",
    "identify",
    "places",
    "pretrain_job",
]
