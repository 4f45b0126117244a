"""What one sees while a run trains, and what of it the run's log keeps."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from sslrun import console
from sslrun.data.images import ImageSet
from sslrun.jobs.screen import Screen
from sslrun.recipe import read_recipe
from sslrun.runs.folder import RunFolder

IMAGES = ImageSet(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.full((2,), -1))
ROW = {"epoch": 3, "std": 0.5, "rank": 2.25, "spectrum": [1.0, 0.5], "images_per_second": 1234.5}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str]]:
    """Where the live line was put, and what it said."""
    found: list[tuple[float, str]] = []

    class Line:
        def update(self, done: float, text: str) -> None:
            found.append((done, text))

    @contextmanager
    def progress(unit: str, total: int, start: float) -> Iterator[console.Live]:
        assert (unit, total, start) == ("epoch", 60, 0)
        yield cast(console.Live, Line())

    monkeypatch.setattr(console, "progress", progress)
    return found


def screen(**how: bool) -> Screen:
    recipe = read_recipe("quickstart", ["training.epochs=60"])
    return Screen(recipe, lambda folder, images, start: f"first {folder.path.name} {len(images)} {start}", **how)


@pytest.mark.parametrize("logged", [True, False])
def test_a_line_a_finished_epoch_and_within_one_how_far_it_is(
    logged: bool, tmp_path: Path, shown: list[tuple[float, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    with screen(logged=logged) as seen:
        seen.watch({"epoch": 0, "step": 1, "steps": 4})  # before it begins there is no line
        seen.begin(folder, IMAGES)
        rows: list[dict[str, Any]] = [
            ROW | {"loss": 0.1234},
            ROW | {"loss": None, "images_per_second": None},
            {"epoch": 3, "step": 1, "steps": 4},
        ]
        for row in rows:
            seen.watch(row)
        seen.say("by the way")
    assert shown == [
        (3, "loss 0.123  std 0.50  rank 2.2 of 2  1,234 img/s"),
        (3, "untrained: std 0.50  rank 2.2 of 2"),
        (3.25, "untrained: std 0.50  rank 2.2 of 2"),
    ]
    assert capsys.readouterr().out.splitlines() == ["first run 2 0", "by the way"]
    assert folder.log.exists() == logged
    assert not logged or "by the way" in folder.log.read_text()


def test_a_run_that_is_done_is_said_to_be_and_quiet_keeps_a_log_alone(
    tmp_path: Path, shown: list[tuple[float, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    with screen() as seen:
        seen.begin(folder, None)
        seen.watch(ROW | {"loss": 0.1})
    with screen(quiet=True) as seen:
        seen.begin(folder, None)
        seen.begin(folder, IMAGES)
        seen.watch(ROW | {"loss": 0.1})
        seen.say("by the way")
    assert capsys.readouterr().out == "run   already done\n"
    assert not shown
    kept = [line.split(maxsplit=1)[1].strip() for line in folder.log.read_text().splitlines()]
    assert kept == ["first run 2 0", "epoch 3/60  loss 0.100  std 0.50  rank 2.2 of 2  1,234 img/s", "by the way"]
