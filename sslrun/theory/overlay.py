"""The theory laid over a run: the course that the flow foretells from the run's own start, and what was measured.

A linear network's history holds its weights (`sslrun.training.diagnostics`), so that the exact flow of `linear` starts
from the same ones; the modes each alone follow the decoupled flow. Any other run has only the eigenvalues of
F and W_p to compare with, and its overlay is headed "qualitative". Shapes: T epochs, J modes, D outputs, M inputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sslrun.errors import InputError
from sslrun.recipe import read_recipe
from sslrun.recipe.schema import Gaussian, Recipe
from sslrun.runs.folder import RunFolder
from sslrun.theory.directset import simulate_rule
from sslrun.theory.linear import LinearProblem, simulate_linear
from sslrun.theory.setting import SIGMA2, Setting, heading, setting_of

Array = NDArray[np.float64]
MOST_MODES = 8  # of a run that is not linear: the leading ones of F
COLLAPSED = 0.05  # a mode is dead where s has fallen below this part of its start


class Eigenvalues(NamedTuple):
    """Eigenvalues of W_p and of F over time, one column a mode."""

    p_TJ: Array
    s_TJ: Array


@dataclass(frozen=True, eq=False)
class Overlay:
    """One run and the theory, at flow times `times_T`.

    `exact` is the flow of the whole matrices, None where weights are not known; `alone` each mode's own flow, None
    where data are not isotropic. `misaligned` is the part of F's or W_p's norm (the larger one) that is off the
    diagonal in the modes' basis at the start: where it is not 0, `alone` is an approximation. None if not known.
    """

    name: str
    setting: Setting
    times_T: Array
    measured: Eigenvalues
    exact: Eigenvalues | None
    alone: Eigenvalues | None
    misaligned: float | None = None


def overlay(folder: RunFolder) -> Overlay:
    """Lay the theory over the run in `folder`, as far as it has come.

    Raises `InputError` if its history has nothing to lay it over: no epochs, or a predictor that is not one matrix.
    """
    recipe, rows = read_recipe(folder.recipe), folder.history.read()
    if len(rows) < 2:
        raise InputError("this run has no epochs yet", where=str(folder.path))
    setting = setting_of(recipe)
    times_T = setting.flow.time_per_step * np.array([row["step"] for row in rows], dtype=np.float64)
    weights = [row.get("weights") or {} for row in rows]
    whole = all("online" in found and ("predictor" in found or not setting.predictor) for found in weights)
    if whole and setting.alpha is None and isinstance(recipe.data, Gaussian):
        return _linear(folder.path.name, recipe, recipe.data, setting, times_T, rows)
    if not all("p" in row for row in rows):
        raise InputError(
            "its predictor is not one matrix, so there are no eigenvalues to compare with theory",
            where=str(folder.path),
            remedy=f"`sslrun plot {folder.path.name}` draws what was measured.",
        )
    return _eigenvalues(folder.path.name, setting, times_T, rows)


def error(measured_TJ: Array, predicted_TJ: Array) -> Array:
    """Mean over time of the distance, as a part of each mode's largest measured value, shape (J,)."""
    largest = np.abs(measured_TJ).max(axis=0)
    return np.asarray(np.abs(measured_TJ - predicted_TJ).mean(axis=0) / np.where(largest > 0, largest, 1.0))


def _linear(
    name: str, recipe: Recipe, data: Gaussian, setting: Setting, times_T: Array, rows: Sequence[Mapping[str, Any]]
) -> Overlay:
    """The exact flow from the run's first weights, and each mode alone, in the modes of that start."""
    W_TDM = np.array([row["weights"]["online"] for row in rows])
    T, D, M = W_TDM.shape
    identity = np.broadcast_to(np.eye(D), (T, D, D))
    W_p_TDD = np.array([row["weights"]["predictor"] for row in rows]) if setting.predictor else identity
    W_a_DM = np.array(rows[0]["weights"].get("target", W_TDM[0]))
    X_MM = np.diag(data.variances or np.ones(M))
    problem = _problem(setting, X_MM, (recipe.views.noise or 0.0) ** 2)
    problem = replace(problem, predictor=setting.predictor, symmetric=setting.symmetric)
    start = (W_p_TDD[0] + W_p_TDD[0].T) / 2 if setting.symmetric else W_p_TDD[0]
    course = simulate_linear(problem, W_TDM[0], start, times_T, W_a_DM=W_a_DM, tolerance=1e-9)

    # Eigenvectors common to F and W_p, if they have any, are those of a sum of both.
    F_DD = W_TDM[0] @ X_MM @ W_TDM[0].T
    together = F_DD / np.linalg.norm(F_DD) + (start + start.T) / (2 * np.linalg.norm(start))
    _, U_DJ = np.linalg.eigh(together)
    misaligned = max(_off_diagonal(U_DJ.T @ matrix @ U_DJ) for matrix in (F_DD, start))

    def modes(W_TDM: Array, W_p_TDD: Array) -> Eigenvalues:
        turned_TJM = U_DJ.T @ W_TDM
        return Eigenvalues(
            np.einsum("dj,tde,ej->tj", U_DJ, W_p_TDD, U_DJ), np.einsum("tjm,mn,tjn->tj", turned_TJM, X_MM, turned_TJM)
        )

    measured = modes(W_TDM, W_p_TDD)
    alone = None
    if setting.sigma2 is not None:
        variance = float(X_MM[0, 0])
        w_J11 = np.sqrt(measured.s_TJ[0] / variance)[:, None, None]
        ratio = float(np.sum(W_a_DM * W_TDM[0]) / np.sum(W_TDM[0] ** 2))
        one = replace(problem, X_MM=np.eye(1) * variance, X_prime_MM=problem.X_prime_MM[:1, :1])
        p_J11 = modes(W_TDM[:1], start[None]).p_TJ[0][:, None, None]
        single = simulate_linear(one, w_J11, p_J11, times_T, W_a_DM=ratio * w_J11, tolerance=1e-9)
        alone = Eigenvalues(single.W_p_TDD[..., 0, 0], variance * single.W_TDM[..., 0, 0] ** 2)
    return Overlay(name, setting, times_T, measured, modes(course.W_TDM, course.W_p_TDD), alone, misaligned)


def _eigenvalues(name: str, setting: Setting, times_T: Array, rows: Sequence[Mapping[str, Any]]) -> Overlay:
    """Each leading mode alone, from the first epoch's eigenvalues; modes are F's, by rank, in every epoch."""
    p_TJ, s_TJ = (np.array([row[key] for row in rows], dtype=np.float64) for key in ("p", "spectrum"))
    rule = setting.rule
    problem = _problem(setting, np.eye(1), SIGMA2 if setting.sigma2 is None else setting.sigma2)
    if rule is not None:
        # The rule sets p at the first step, from what F is, not from what W_p was drawn to be. Sizes mean nothing where
        # it divides by the largest one: s is told as a part of that.
        alone = Eigenvalues(*simulate_rule(s_TJ[0], times_T, rule, problem=problem))
        s_TJ, alone = _parts(s_TJ), Eigenvalues(alone.p_TJ, _parts(alone.s_TJ))
    else:
        p_TJ, s_TJ = p_TJ[:, :MOST_MODES], s_TJ[:, :MOST_MODES]
        w_J11 = np.sqrt(s_TJ[0])[:, None, None]
        single = simulate_linear(problem, w_J11, p_TJ[0][:, None, None], times_T, W_a_DM=w_J11, tolerance=1e-9)
        alone = Eigenvalues(single.W_p_TDD[..., 0, 0], single.W_TDM[..., 0, 0] ** 2)
    differences = setting.differences or ("its weights were not kept",)
    measured, alone = (
        Eigenvalues(*(values_TJ[:, :MOST_MODES] for values_TJ in both)) for both in ((p_TJ, s_TJ), alone)
    )
    return Overlay(name, replace(setting, differences=differences), times_T, measured, None, alone)


def _problem(setting: Setting, X_MM: Array, noise: float) -> LinearProblem:
    """The flow's problem in a setting, with isotropic noise of this variance."""
    rates = {name: getattr(setting.flow, name) for name in ("alpha_p", "eta", "eta_p", "beta")}
    return LinearProblem(X_MM=X_MM, X_prime_MM=noise * np.eye(len(X_MM)), stop_gradient=setting.stop_gradient, **rates)


def _parts(s_TJ: Array) -> Array:
    """Of the largest one at each time."""
    return np.asarray(s_TJ / s_TJ.max(axis=1, keepdims=True).clip(np.finfo(float).tiny))


def _off_diagonal(matrix: Array) -> float:
    return float(np.linalg.norm(matrix - np.diag(np.diag(matrix))) / np.linalg.norm(matrix))


def closing(found: Overlay) -> list[str]:
    """What the comparison says, in sentences; the first ones name the run and what is not exact."""
    flow, setting = found.setting.flow, found.setting
    lines = heading(setting.differences)
    rate = "the target is the online network" if flow.beta is None else f"beta = {flow.beta:.4g}"
    steps = round(found.times_T[-1] / flow.time_per_step)
    lines.append(
        f"{found.name}   {found.measured.p_TJ.shape[1]} modes, {steps:,} steps of {flow.time_per_step:.4g}: t = 0 to "
        f"{found.times_T[-1]:.4g}; alpha_p = {flow.alpha_p:g}, eta = {flow.eta:.4g}, {rate}"
    )
    if found.exact is None:
        if setting.rule is not None:
            lines.append("The rule sets p at the first step: the theory starts there. s are parts of the largest one.")
        lines.append("Directions only: the sizes of p and s do not carry over from the theory, and no error is given.")
        return lines
    for name, predicted in (("exact flow", found.exact), ("each mode alone", found.alone)):
        if predicted is None:
            lines.append(f"{name}: not compared, as the data are not isotropic")
            continue
        p_J, s_J = (100 * error(*pair) for pair in zip(found.measured, predicted, strict=True))
        lines.append(
            f"{name}: mean error over the whole course at most {max(p_J.max(), s_J.max()):.2f} % of a mode's largest "
            f"value (p: {p_J.min():.2f} to {p_J.max():.2f} %, s: {s_J.min():.2f} to {s_J.max():.2f} %)"
        )
    lines.append(f"theory: {_fate(found.exact)}; run: {_fate(found.measured)}")
    lines.append(
        f"A mode lives while its s is above {100 * COLLAPSED:g} % of its start; the verdict of a run has another "
        "bound, of the size of all outputs. Modes are numbered by p and s at the start, smallest first."
    )
    if found.misaligned is not None and found.misaligned > 1e-6:
        lines.append(
            f"At the start W_p is not symmetric, or does not share F's eigenvectors ({found.misaligned:.2g} of a norm "
            "is off the modes' diagonal): only the exact flow is exact."
        )
    return lines


def _fate(modes: Eigenvalues) -> str:
    lives = int((modes.s_TJ[-1] > COLLAPSED * modes.s_TJ[0]).sum())
    size = f"the sum of s goes from {modes.s_TJ[0].sum():.3g} to {modes.s_TJ[-1].sum():.3g}"
    return f"{lives} of {modes.s_TJ.shape[1]} modes live, {size}" if lives else f"collapse, {size}"


def table(found: Overlay) -> list[list[str]]:
    """A header, then a row a mode: its start, its end as measured and as foretold, the mean errors in per cent."""
    foretold = found.exact or found.alone
    header = ["mode", "p start", "s start", "p end", "s end"]
    columns = [values_TJ[t] for t in (0, -1) for values_TJ in found.measured]
    if foretold is not None:
        header += ["p foretold", "s foretold"]
        columns += [values_TJ[-1] for values_TJ in foretold]
    errors = {"error": found.exact, "error alone": found.alone} if found.exact is not None else {}
    parts = []
    for name, modes in errors.items():
        if modes is not None:
            header += [f"p {name}", f"s {name}"]
            parts += [error(*pair) for pair in zip(found.measured, modes, strict=True)]
    rows = [
        [
            str(mode + 1),
            *(f"{column[mode]:.4f}" for column in columns),
            *(f"{100 * part[mode]:.2f} %" for part in parts),
        ]
        for mode in range(found.measured.p_TJ.shape[1])
    ]
    return [header, *rows]


def as_json(found: Overlay) -> dict[str, Any]:
    """The same for programs."""
    courses: dict[str, Eigenvalues | None] = {"measured": found.measured, "exact": found.exact, "alone": found.alone}
    answer: dict[str, Any] = {
        "run": found.name,
        "qualitative": list(found.setting.differences),
        "time": float(found.times_T[-1]),
        "misaligned": found.misaligned,
    }
    for name, modes in courses.items():
        if modes is None:
            continue
        ends = {f"{which}_{when}": values[t].tolist() for which, values in modes._asdict().items()
                for when, t in (("start", 0), ("end", -1))}  # fmt: skip
        answer[name] = {key.replace("_TJ", ""): value for key, value in ends.items()}
        if name != "measured" and found.exact is not None:
            pairs = zip(("p", "s"), found.measured, modes, strict=True)
            answer[name]["error"] = {which: np.asarray(error(ours, theirs)).tolist() for which, ours, theirs in pairs}
    return answer
