"""sslrun: why does this not collapse, and which part makes it work?"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sslrun.api import Run, evaluate, load_encoder, load_runs, pretrain, sweep

__all__ = ["Run", "__version__", "evaluate", "load_encoder", "load_runs", "pretrain", "sweep"]


def __getattr__(name: str) -> Any:
    """The API is imported when it is first asked for: torch takes seconds, and `sslrun --help` needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module 'sslrun' has no attribute {name!r}")
    from sslrun import api

    return getattr(api, name)
