"""Figures 7, 8 and 9: the assumptions put to the test on whole matrices (proportional EMA, symmetry, alignment)."""

import numpy as np
from matplotlib.figure import Figure

from sslrun.drawing import family, panels, shades, style
from sslrun.theory.alignment import commutator, simulate_predictor, simulate_symmetric
from sslrun.theory.linear import LinearProblem, proportionality, simulate_linear

SIGMA2 = 0.0009


@style()
def figure_7() -> Figure:
    """How nearly proportional W_a and W stay in the exact flow, from W_a(0) = 0."""
    D, repeats, etas, keeps = 10, 10, (0.0, 0.01, 0.1), (0.99, 0.996, 0.999, 0.9995)
    figure, axes = panels(
        1,
        3,
        3.6,
        2.9,
        title="The target stays nearly proportional to the online network: <Wₐ, W> / (|Wₐ| |W|)",
        foot=f"After figure 7 of arXiv 2102.06810 (X = I, X' = σ² I, σ = 0.03, Wₐ(0) = 0, {repeats} starts: "
        "mean and standard deviation, these decays).\nNot stated there, chosen here: "
        f"{D} × {D} matrices, W(0) and Wₚ(0) Gaussian with standard deviation 0.1, αₚ = 1, "
        "β = (1 - γₐ)/0.01, the values of γₐ, the range of time.",
    )
    generator = np.random.default_rng(7)
    W_NDM, W_p_NDD = generator.normal(scale=0.1, size=(2, repeats, D, D))
    times = np.linspace(0.0, 60.0, 241)[1:]  # at t = 0 the target is zero and has no direction
    for ax, eta in zip(axes.flat, etas, strict=True):
        for keep, colour in zip(keeps, shades(len(keeps)), strict=True):
            problem = LinearProblem(X_MM=np.eye(D), X_prime_MM=SIGMA2 * np.eye(D), eta=eta, beta=(1 - keep) / 0.01)
            course = simulate_linear(problem, W_NDM, W_p_NDD, times, W_a_DM=np.zeros_like(W_NDM), tolerance=1e-6)
            alike = proportionality(course.W_a_TDM, course.W_TDM)
            mean, spread = alike.mean(axis=1), alike.std(axis=1)
            ax.plot(times, mean, color=colour, label=f"γₐ = {keep:g}")
            ax.fill_between(times, mean - spread, np.minimum(mean + spread, 1), color=colour, alpha=0.2, lw=0)
        ax.set(xlabel="flow time t", title=f"η = {eta:g}", ylim=(0.93, 1.003))
    axes[0, 0].set_ylabel("cosine of Wₐ and W")
    axes[0, 0].legend(loc="lower right")
    return figure


@style()
def figure_8() -> Figure:
    """A predictor that nothing keeps symmetric: its skew part dies; its symmetric part for small tau or large decay."""
    D, etas, taus = 8, (0.001, 0.01, 0.05), (0.1, 0.3, 0.6, 1.0)
    figure, axes = panels(
        3,
        2,
        4.7,
        2.1,
        title="The skew part of the predictor always vanishes; the symmetric part where decay is large or τ small",
        foot="After figure 8 of arXiv 2102.06810 (predictor flow with F = WₚᵀWₚ, constant τ, these decays). "
        "Not stated there, chosen here:\n"
        f"{D} × {D} matrices, Wₚ(0) a Gaussian matrix of standard deviation 0.1 plus 0.15 I, αₚ = 1, "
        f"σ² = {SIGMA2:g}, the values of τ.",
    )
    W_p_DD = 0.1 * np.random.default_rng(8).normal(size=(D, D)) + 0.15 * np.eye(D)
    times = np.geomspace(0.1, 3000.0, 300)
    for row, eta in zip(axes, etas, strict=True):
        found = {
            f"τ = {tau:g}": simulate_predictor(
                W_p_DD, times, tau=tau, alpha_p=1.0, eta=eta, sigma2=SIGMA2, tolerance=1e-7
            )
            for tau in taus
        }
        for ax, sign in zip(row, (1, -1), strict=True):
            parts = {name: (course + sign * np.swapaxes(course, -1, -2)) / 2 for name, course in found.items()}
            family(ax, times, {name: np.linalg.norm(part, axis=(-2, -1)) for name, part in parts.items()})
            ax.set_xscale("log")
        row[0].set_ylabel(f"norm at η = {eta:g}")
    for first, last, name in zip(axes[0], axes[-1], ("symmetric", "skew"), strict=True):
        first.set_title(f"norm of the {name} part")
        last.set_xlabel("flow time t")
    axes[0, 0].legend()
    return figure


@style()
def figure_9() -> Figure:
    """The commutator of F and a symmetric predictor: it grows for small decay or large tau, and dies otherwise."""
    D, etas, taus = 8, (0.001, 0.01, 0.05, 0.1), (0.3, 0.5, 0.7, 1.0)
    figure, axes = panels(
        1,
        4,
        3.0,
        2.9,
        title="Alignment is lost for a while where decay is small or τ large: the norm of [F, Wₚ], in thousandths",
        foot="After figure 9 of arXiv 2102.06810 (symmetrised flow, constant τ). Not stated there, chosen here: "
        f"{D} × {D} matrices, Wₚ(0) = B Bᵀ/200 and F(0) = Wₚ(0)² + 0.0001 A Aᵀ\nwith Gaussian A and B, "
        f"αₚ = 1, σ² = {SIGMA2:g}, the values of η and τ.",
    )
    A, B = np.random.default_rng(9).normal(size=(2, D, D))
    W_p_DD = B @ B.T / 200
    F_DD = W_p_DD @ W_p_DD + 0.0001 * A @ A.T
    times = np.linspace(0, 100, 401)
    for ax, eta in zip(axes.flat, etas, strict=True):
        sizes = {}
        for tau in taus:
            W_p, F = simulate_symmetric(
                W_p_DD, F_DD, times, tau=tau, alpha_p=1.0, eta=eta, sigma2=SIGMA2, tolerance=1e-9
            )
            sizes[f"τ = {tau:g}"] = 1000 * np.linalg.norm(commutator(F, W_p), axis=(-2, -1))
        family(ax, times, sizes)
        ax.set(xlabel="flow time t", title=f"η = {eta:g}", ylim=(0, 0.55))
    axes[0, 0].set_ylabel("‖[F, Wₚ]‖, thousandths")
    axes[0, 0].legend(loc="upper right")
    return figure
