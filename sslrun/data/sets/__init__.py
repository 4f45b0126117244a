"""One file a kind of data set: a class for its section, registered with `sslrun.data.dataset.open_dataset`.

Importing this package imports them all, so that a new file is enough for a new kind.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
