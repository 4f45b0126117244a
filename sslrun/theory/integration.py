"""Follow an autonomous flow dy/dt = f(y) of an array of any shape through given times, to near rounding error.

Relies on SciPy's solvers. The flows themselves are in `linear`, `alignment`, `directset` and `dynamics`.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp

from sslrun.errors import InputError

Array = NDArray[np.float64]

LARGEST, LONGEST = 1e6, 1e15
"""Numbers beyond have squares and ratios that floating point can't follow through a flow; times, no smaller steps."""
MOST_EVALUATIONS = 50_000
"""A flow that is not at its end after so many takes steps so small that it never will be. Usual ones take thousands."""


def check_range(**values: ArrayLike | None) -> None:
    """Raise `InputError` for a number of a flow, by its name, that is not finite or beyond what can be followed."""
    for name, value in values.items():
        size = np.abs(np.asarray(0.0 if value is None else value, dtype=np.float64))
        if not np.all(np.isfinite(size)):
            raise InputError("must be finite", where=name)
        if np.any(size > LARGEST):
            raise InputError(f"is beyond what floating point can follow: at most {LARGEST:g} in size", where=name)


def limited(flow: Callable[..., Array]) -> Callable[..., Array]:
    """The same flow, which raises `InputError` once it has been asked for more than `MOST_EVALUATIONS` times."""
    asked = 0

    def ask(*arguments: Any) -> Array:
        nonlocal asked
        asked += 1
        if asked > MOST_EVALUATIONS:
            raise InputError(
                f"the flow can't be followed: it is not at its end after {MOST_EVALUATIONS:,} steps",
                remedy="Bring its rates closer together: the fastest one forces steps too small for the slowest.",
            )
        return flow(*arguments)

    return ask


def integrate(
    flow: Callable[[Array], Array],
    start: Array,
    times: ArrayLike,
    *,
    method: Literal["DOP853", "LSODA"] = "DOP853",
    tolerance: float = 1e-11,
    bandwidth: int | None = None,
) -> Array:
    """Values of y at `times` (any order, from t = 0 on), given y(0) = `start`; shape times.shape + start.shape.

    `tolerance` is relative, with a hundredth of it absolute. `bandwidth` is how far from the diagonal the
    flattened Jacobian reaches (LSODA only). Raises `InputError` for negative or non-finite times and for a flow
    that runs off to infinity.
    """
    wanted = np.asarray(times, dtype=np.float64)
    if wanted.size == 0 or not np.all(np.isfinite(wanted)) or wanted.min() < 0:
        raise InputError("times must be finite, not negative, and at least one")
    ordered, place = np.unique(wanted, return_inverse=True)
    options: dict[str, Any] = {} if bandwidth is None else {"lband": bandwidth, "uband": bandwidth}
    with np.errstate(over="ignore", invalid="ignore"):
        solution = solve_ivp(
            limited(lambda _, y: flow(y.reshape(start.shape)).ravel()),
            (0.0, float(ordered[-1]) or 1.0),
            start.ravel(),
            method=method,
            t_eval=ordered,
            rtol=tolerance,
            atol=tolerance / 100,
            **options,
        )
    reached = int(np.isfinite(solution.y).all(axis=0).sum())
    if reached < ordered.size:
        raise InputError(
            f"the flow runs off to infinity before t = {ordered[reached]:.4g}",
            remedy="start from smaller values, or ask for earlier times",
        )
    values = np.asarray(solution.y.T, dtype=np.float64)[place.ravel()]
    return values.reshape(*wanted.shape, *start.shape)
