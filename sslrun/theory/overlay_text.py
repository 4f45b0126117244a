"""An overlay in words: where each mode began and ended, what the theory said, and how far apart they were.

The overlay itself is made in `overlay`; its figure is `figures.overlaid`.
"""

from typing import Any

import numpy as np

from sslrun.theory.overlay import Eigenvalues, Overlay, error
from sslrun.theory.setting import heading

COLLAPSED = 0.05  # a mode is dead where s has fallen below this part of its start


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
            lines.append(f"{name}: not laid, the data are not isotropic")
            continue
        p_J, s_J = (100 * error(*pair) for pair in zip(found.measured, predicted, strict=True))
        lines.append(
            f"{name}: mean error over the whole course at most {max(p_J.max(), s_J.max()):.2f} % of a mode's largest "
            f"value (p: {p_J.min():.2f} to {p_J.max():.2f} %, s: {s_J.min():.2f} to {s_J.max():.2f} %)"
        )
    lines.append(f"theory: {_fate(found.exact)}; run: {_fate(found.measured)}")
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
