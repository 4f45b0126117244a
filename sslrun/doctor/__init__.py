"""What this machine has and lacks, and whether a recipe could run on it: `sslrun doctor [RECIPE]`.

Everything is looked up on the spot and nothing is changed. `machine` looks, `fitting` asks a recipe's questions; each
also says in words what it found.
"""

from sslrun.doctor.fitting import fit, fit_lines
from sslrun.doctor.machine import examine, machine_lines

__all__ = ["examine", "fit", "fit_lines", "machine_lines"]
