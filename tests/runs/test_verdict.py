"""The verdict at its bounds, and that runs judged by the bounds of earlier versions are judged anew."""

from pathlib import Path

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
    assert verdict(evidence({"std": std, "rank": rank, "epoch": 3}, bounds)) == expected


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
