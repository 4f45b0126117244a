"""One aligned mode alone: predictor eigenvalue p, correlation eigenvalue s, target-to-online ratio tau.

The decoupled flow of arXiv 2102.06810 under its assumptions: isotropic data, W_a = tau W, symmetric predictor,
common eigenvectors. `linear` has the flow without them; where a mode ends is in `fixed_points`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import LSODA

from sslrun.errors import InputError
from sslrun.theory.integration import check_range, integrate, limited

Array = NDArray[np.float64]
# Where eta > beta, tau grows exponentially as a mode dies. It is damped from here on: p tau is long nothing by
# then, while tau times the rounding error of p would in time become something.
_LARGEST_TAU = 1e6


class Course(NamedTuple):
    """How modes fared by time T: values at the end, and the smallest `kappa` on the way, all of one shape."""

    p: Array
    s: Array
    tau: Array
    min_kappa: Array


def flow(
    p: ArrayLike,
    s: ArrayLike,
    tau: ArrayLike,
    alpha_p: ArrayLike,
    eta: ArrayLike,
    beta: ArrayLike | None,
    sigma2: ArrayLike,
    eta_p: ArrayLike | None = None,
) -> tuple[Array, Array, Array]:
    """Time derivatives (dp, ds, dtau); every argument broadcasts (arXiv 2102.06810).

    `alpha_p`: predictor rate over network rate; `eta`: weight decay; `beta`: EMA rate over network rate, `None`
    freezes tau; `sigma2`: augmentation variance over data variance; `eta_p`: the predictor's own decay, `eta`
    where `None`. The equation of tau is divided through by s, so it holds at s = 0 too.
    """
    excess = growth(p, tau, eta, sigma2)
    p, s, tau, rate, noise, decay = _float64(p, s, tau, alpha_p, sigma2, eta if eta_p is None else eta_p)
    dp = rate * s * (tau - (1 + noise) * p) - decay * p
    dtau = np.zeros_like(dp) if beta is None else np.asarray(beta) * (1 - tau) - tau * excess
    return dp, 2 * s * excess, dtau


def growth(p: ArrayLike, tau: ArrayLike, eta: ArrayLike, sigma2: ArrayLike) -> Array:
    """Delta = p [tau - (1 + sigma2) p] - eta: the mode's features grow (ds = 2 s Delta) while it is positive."""
    p, tau, eta, sigma2 = _float64(p, tau, eta, sigma2)
    return p * (tau - (1 + sigma2) * p) - eta


def kappa(
    p: ArrayLike,
    s: ArrayLike,
    tau: ArrayLike,
    alpha_p: ArrayLike,
    eta: ArrayLike,
    sigma2: ArrayLike,
    eta_p: ArrayLike | None = None,
) -> Array:
    """Eigenvalue in this mode of K, with d[F, W_p]/dt = -[F, W_p] K - K [F, W_p] (Theorem 3): alignment is stable
    while it is positive.

    (1 + sigma2)(alpha_p s / 2 + p^2) - tau p + 3 eta / 2, with 3 eta read as 2 eta + eta_p where decays differ.
    """
    p, s, tau, rate, noise, decay, decay_p = _float64(p, s, tau, alpha_p, sigma2, eta, eta if eta_p is None else eta_p)
    return (1 + noise) * (0.5 * rate * s + p**2) - tau * p + decay + 0.5 * decay_p


def offset(p: ArrayLike, s: ArrayLike, alpha_p: ArrayLike) -> Array:
    """c = s - p^2 / alpha_p. It decays as exp(-2 eta t) whatever tau does; at 0 lies the invariant parabola."""
    p, s, alpha_p = _float64(p, s, alpha_p)
    return s - p**2 / alpha_p


def simulate(
    p0: ArrayLike,
    s0: ArrayLike,
    tau0: ArrayLike,
    alpha_p: ArrayLike,
    eta: ArrayLike,
    beta: ArrayLike | None,
    sigma2: ArrayLike,
    times: ArrayLike,
    *,
    eta_p: ArrayLike | None = None,
) -> tuple[Array, Array, Array]:
    """The decoupled flow from (p0, s0, tau0): float64 arrays (p, s, tau) at `times`.

    All arguments but `times` broadcast to one shape of modes; each result has shape times.shape + that shape.
    `beta=None` freezes tau at tau0 (1 is SimSiam's, a target without EMA). Errors are about 1e-10.

    Raises `InputError` for values outside the flow's meaning (s0, eta, beta, sigma2 negative, alpha_p not
    positive), and where tau runs off to infinity: online weights that cross zero, only from p0 or tau0 < 0 with
    EMA. In a dying mode with eta > beta tau grows exponentially; it is followed up to about 1e5.
    """
    return Modes(p0, s0, tau0, alpha_p, eta, beta, sigma2, eta_p).at(times)


def _float64(*values: ArrayLike) -> tuple[Array, ...]:
    return tuple(np.asarray(value, dtype=np.float64) for value in values)


class Modes:
    """Modes by their start and constants, as `simulate` takes them; raises `InputError` for what the flow can't mean.

    Their state is rows (p, g, tau) with s = s0 exp(g): following g keeps s from going negative however small it
    becomes. One row a mode keeps the Jacobian banded.
    """

    def __init__(
        self,
        p0: ArrayLike,
        s0: ArrayLike,
        tau0: ArrayLike,
        alpha_p: ArrayLike,
        eta: ArrayLike,
        beta: ArrayLike | None,
        sigma2: ArrayLike,
        eta_p: ArrayLike | None = None,
    ) -> None:
        given = [p0, s0, tau0, alpha_p, eta, 0.0 if beta is None else beta, sigma2, eta if eta_p is None else eta_p]
        names = ["p0", "s0", "tau0", "alpha_p", "eta", "beta", "sigma2", "eta_p"]
        try:
            arrays = np.broadcast_arrays(*_float64(*given))
        except (TypeError, ValueError) as error:
            raise InputError(f"the mode's numbers don't fit together: {error}") from error
        check_range(**dict(zip(names, arrays, strict=True)))
        for name, array in zip(names, arrays, strict=True):
            if (name == "alpha_p" and np.any(array <= 0)) or (name not in ("p0", "tau0") and np.any(array < 0)):
                raise InputError("must be positive" if name == "alpha_p" else "must not be negative", where=name)
        self.shape = arrays[0].shape
        p, self.s0, tau, self.alpha_p, self.eta, moving, self.sigma2, self.eta_p = (a.ravel() for a in arrays)
        self.beta = None if beta is None else moving
        self.start: Array = np.stack([p, np.zeros_like(p), tau], axis=-1)

    def at(self, times: ArrayLike) -> tuple[Array, Array, Array]:
        """(p, s, tau) at `times`, each of shape times.shape + the modes' shape."""
        y = integrate(self._derivative, self.start, times, method="LSODA", tolerance=1e-12, bandwidth=2)
        return self._unpacked(y)

    def follow(self, horizon: float) -> Course:
        """The flow up to t = `horizon`, keeping only its end and the smallest kappa, for maps of many modes.

        Kappa is looked at eight times in every step of the solver.
        """
        solver = LSODA(
            limited(lambda _, y: self._derivative(y.reshape(-1, 3)).ravel()),
            0.0, self.start.ravel(), float(horizon), rtol=1e-7, atol=1e-10, lband=2, uband=2,
        )  # fmt: skip
        lowest = self._kappa(self.start)
        while solver.status == "running":
            trouble = solver.step()
            if trouble is not None:
                raise InputError(f"the flow can't be followed beyond t = {solver.t_old:.4g}: {trouble}")
            seen = solver.dense_output()(np.linspace(solver.t_old, solver.t, 9)[1:]).T
            lowest = np.minimum(lowest, self._kappa(seen.reshape(8, -1, 3)).min(axis=0))
        return Course(*self._unpacked(solver.y.reshape(-1, 3)), lowest.reshape(self.shape))

    def _derivative(self, y: Array) -> Array:
        p, g, tau = np.moveaxis(y, -1, 0)
        with np.errstate(over="ignore", invalid="ignore"):  # in steps that the solver then takes back
            return self._changes(p, self.s0 * np.exp(g), tau)

    def _changes(self, p: Array, s: Array, tau: Array) -> Array:
        dp, _, dtau = flow(p, s, tau, self.alpha_p, self.eta, self.beta, self.sigma2, self.eta_p)
        if np.any((np.abs(tau) > _LARGEST_TAU) & (p * tau < -1)):
            raise InputError(
                "tau runs off to infinity: the online weight crosses zero, where W_a = tau W has no meaning",
                remedy="follow the weights themselves: sslrun.theory.linear.simulate_linear",
            )
        dtau = dtau / (1 + (tau / _LARGEST_TAU) ** 4)
        return np.stack([dp, 2 * growth(p, tau, self.eta, self.sigma2), dtau], axis=-1)

    def _unpacked(self, y: Array) -> tuple[Array, Array, Array]:
        p, g, tau = np.moveaxis(y, -1, 0)
        shape = (*p.shape[:-1], *self.shape)
        return p.reshape(shape), (self.s0 * np.exp(g)).reshape(shape), tau.reshape(shape)

    def _kappa(self, y: Array) -> Array:
        p, g, tau = np.moveaxis(y, -1, 0)
        return kappa(p, self.s0 * np.exp(g), tau, self.alpha_p, self.eta, self.sigma2, self.eta_p)
