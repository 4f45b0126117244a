"""Has a run collapsed? The verdict on the signals of its last epoch, by fixed bounds that its recipe states.

It speaks of collapse alone; what training was worth is a comparison with the untrained encoder, in `report.summary`.
Signals come from `sslrun.training.diagnostics`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sslrun.runs.history import size_of

if TYPE_CHECKING:
    from sslrun.recipe.schema import Collapse

NONE, DIMENSIONAL, COMPLETE = "none", "dimensional", "complete"
WORDS = {NONE: "no collapse", DIMENSIONAL: "dimensional collapse", COMPLETE: "complete collapse"}
COLLAPSES = (DIMENSIONAL, COMPLETE)

Evidence = dict[str, float | None]
"""`std` and effective `rank` of the projector's outputs, where it matters their `size`, and the bound of each, as
`std_threshold` and so on."""


def evidence(last: Mapping[str, Any], bounds: "Collapse", *, sized: bool = False) -> Evidence:
    """What the verdict rests on: signals of the last epoch, each with the recipe's bound for it.

    std is of outputs made unit vectors, which is all that a loss of cosines sees. Where the loss is `sized`, outputs
    that shrink to nothing have collapsed in whatever directions they lie: their size, the root of the mean square of an
    output's entries, has the bound that std has (both are about 1 when all is well).
    """
    seen: Evidence = {"std": last["std"], "rank": last["rank"]}
    limits = {"std": bounds.std, "rank": bounds.rank}
    if sized and last.get("spectrum"):
        seen["size"] = size_of(last["spectrum"])
        limits["size"] = bounds.std
    return seen | {f"{name}_threshold": bound for name, bound in limits.items()}


def verdict(seen: Mapping[str, float | None]) -> str:
    """`complete` if std or size is below its bound, else `dimensional` if the effective rank is, else `none`.

    The untrained network is no bound: its rank depends on the statistics of batch norms that nobody has set. A signal
    that is not there, or not a number, is not below.
    """

    def below(name: str) -> bool:
        value, bound = seen.get(name), seen.get(f"{name}_threshold")
        return value is not None and bound is not None and value < bound

    return COMPLETE if below("std") or below("size") else DIMENSIONAL if below("rank") else NONE
