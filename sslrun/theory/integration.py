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
            lambda _, y: flow(y.reshape(start.shape)).ravel(),
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
