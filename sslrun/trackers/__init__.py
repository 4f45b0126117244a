"""Runs told to other programs: experiment trackers, tables, model hubs; from what the runs' folders hold, at any time.

Training knows nothing of it. `told` is what a tracker is given and how trackers register, `telling` goes through runs,
and each kind is one file: files.py, on_tensorboard.py, on_wandb.py, on_trackio.py, on_hub.py.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
