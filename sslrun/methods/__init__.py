"""The objectives. Read `noncontrastive.py` (BYOL, SimSiam) first: each file is one method with its whole training step.

`base.py` says what the training loop asks of a method, `setup.py` what a method is made of; `assignment.py` what
several share. A file registers with `build_method` the sections that it builds.
"""

import importlib
import pkgutil

from sslrun.methods.base import Method, Updater, build_method
from sslrun.methods.setup import Setup, build_encoder, set_up

__all__ = ["Method", "Setup", "Updater", "build_encoder", "build_method", "set_up"]

for _file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_file.name}")
