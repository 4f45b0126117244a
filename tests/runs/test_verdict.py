"""The verdict at its bounds, and that runs judged by the bounds of earlier versions are judged anew."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sslrun.recipe.schema import Collapse
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import State, Status
from sslrun.runs.verdict import evidence, verdict


@pytest.mark.parametrize(
    ("std", "rank", "bounds", "expected"),
    [
        (0.049, 9.0, Collapse(), "complete"),
        (0.049, 1.2, Collapse(), "complete"),
        (0.05, 9.0, Collapse(), "none"),
        (0.9, 1.9, Collapse(), "dimensional"),
        (0.9, 2.0, Collapse(), "none"),
        (0.9, 2.9, Collapse(rank=3.0), "dimensional"),
        (0.09, 9.0, Collapse(std=0.1), "complete"),
        (float("nan"), 9.0, Collapse(), "none"),
    ],
)
def test_at_its_bounds(std: float, rank: float, bounds: Collapse, expected: str) -> None:
    assert verdict(evidence({"std": std, "rank": rank, "epoch": 3, "spectrum": [0.0]}, bounds)) == expected


@pytest.mark.parametrize(("sized", "expected"), [(True, "complete"), (False, "none")])
def test_outputs_without_size_have_collapsed_where_the_loss_is_of_their_size(sized: bool, expected: str) -> None:
    z_ND = np.random.default_rng(0).standard_normal((500, 4)) * 0.0499
    F_DD = z_ND.T @ z_ND / len(z_ND)
    last = {"std": 0.97, "rank": 3.8, "spectrum": np.linalg.eigvalsh(F_DD).tolist()}
    seen = evidence(last, Collapse(), sized=sized)
    assert verdict(seen) == expected
    assert seen.get("size", 0) == pytest.approx(np.sqrt((z_ND**2).mean()) if sized else 0)
    large = {**last, "spectrum": [value * 1.02 for value in last["spectrum"]]}
    assert verdict(evidence(large, Collapse(std=0.0499), sized=sized)) == "none"


@pytest.mark.parametrize(("decay", "verdicts"), [(0.16, "no collapse"), (30.0, "complete collapse")])
def test_a_linear_network_whose_modes_all_die_has_collapsed(
    decay: float, verdicts: str, tmp_path: Path, sslrun: Callable[..., tuple[int, str, str]]
) -> None:
    changes = [f"optimizer.network.weight_decay={decay}", "data.count=64", "training={epochs: 60, batch_size: 64}"]
    given = [word for change in changes for word in ("--set", change)]
    code, out, _ = sslrun("pretrain", "linear_theory", *given, "--results", tmp_path)
    assert code == 0 and verdicts in out and "size 0." in out


@pytest.mark.parametrize(
    ("state", "before", "std", "rank", "after"),
    [
        (State.COLLAPSED, "dimensional", 0.77, 4.1, (State.DONE, "none")),  # below the untrained network's 4.2
        (State.DONE, "healthy", 0.10, 2.3, (State.DONE, "none")),
        (State.COLLAPSED, "dimensional", 0.9, 1.5, (State.COLLAPSED, "dimensional")),
        (State.COLLAPSED, "complete", 0.01, 1.5, (State.COLLAPSED, "complete")),
        (State.RUNNING, None, 0.01, 1.5, (State.RUNNING, None)),
    ],
)
def test_runs_of_earlier_versions_are_judged_anew(
    state: State, before: str | None, std: float, rank: float, after: tuple[State, str | None], tmp_path: Path
) -> None:
    seen = {"std": std, "rank": rank, "untrained_rank": 4.2, "std_threshold": 0.05, "rank_threshold": 2.0}
    folder = RunFolder(tmp_path)
    folder.write_status(Status(state=state, verdict=before, evidence=seen if before else {}))
    assert (folder.status.state, folder.status.verdict) == after
