"""What this machine has and lacks, and whether a recipe could run on it: `sslrun doctor [RECIPE]`.

Everything is looked up on the spot and nothing is changed. `machine` looks, `fitting` asks a recipe's questions,
`text` words both for people. What a run ran on is kept by `sslrun.runs.environment`.
"""

from sslrun.doctor.fitting import fit
from sslrun.doctor.machine import examine
from sslrun.doctor.text import lines

__all__ = ["examine", "fit", "lines"]
