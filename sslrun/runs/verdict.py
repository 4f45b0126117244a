"""Has a run collapsed? The verdict on the signals of its last epoch, by fixed bounds that its recipe states.

It speaks of collapse alone; what training was worth is a comparison with the untrained encoder, in `report.summary`.
Signals come from `sslrun.training.diagnostics`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sslrun.recipe.schema import Collapse

NONE, DIMENSIONAL, COMPLETE = "none", "dimensional", "complete"
WORDS = {NONE: "no collapse", DIMENSIONAL: "dimensional collapse", COMPLETE: "complete collapse"}
COLLAPSES = (DIMENSIONAL, COMPLETE)

Evidence = dict[str, float | None]
"""`std` and effective `rank` of the projector's outputs, and `std_threshold` and `rank_threshold`, their bounds."""


def evidence(last: Mapping[str, Any], bounds: "Collapse") -> Evidence:
    """What the verdict rests on: two signals of the last epoch, each with the recipe's bound for it."""
    signals: Evidence = {"std": last["std"], "rank": last["rank"]}
    return signals | {"std_threshold": bounds.std, "rank_threshold": bounds.rank}


def verdict(seen: Mapping[str, float | None]) -> str:
    """`complete` if std is below its bound, else `dimensional` if the effective rank is below its own, else `none`.

    The untrained network is no bound: its rank depends on the statistics of batch norms that nobody has set. A signal
    that is not there, or not a number, is not below.
    """

    def below(name: str) -> bool:
        value, bound = seen.get(name), seen.get(f"{name}_threshold")
        return value is not None and bound is not None and value < bound

    return COMPLETE if below("std") else DIMENSIONAL if below("rank") else NONE
