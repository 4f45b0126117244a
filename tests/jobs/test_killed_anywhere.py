"""Killed right before any file operation, or out of room at any moment: the same command ends with the same bits."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from killed import BASE, operations

from sslrun.errors import RunFailed
from sslrun.files import FULL, write_text
from sslrun.jobs import places, pretrain_job
from sslrun.recipe import read_recipe
from sslrun.recipe.schema import Recipe
from sslrun.runs.folder import RunFolder, run_folders


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setattr("sslrun.jobs.pretraining.environment", lambda threads: {"threads": threads})  # asks programs
    write_text(tmp_path / "tiny.yaml", BASE)
    return read_recipe(str(tmp_path / "tiny.yaml"))


def bits(folder: RunFolder) -> tuple[Any, ...]:
    rows = [{key: row[key] for key in row.keys() - {"seconds", "images_per_second"}} for row in folder.history.read()]
    return folder.encoder.read_bytes(), folder.encoder_at(1).read_bytes(), rows, folder.status.state


def left_over(results: Path) -> list[Path]:
    return [path for path in results.rglob("*") if path.name.endswith(".part") or path.name == "lease.json"]


def test_a_run_that_is_killed_at_any_file_operation_ends_with_the_same_bits(recipe: Recipe, tmp_path: Path) -> None:
    calm, _ = pretrain_job(recipe, places(recipe, tmp_path / "calm"))
    # On a busy machine a run has more heartbeats and saves than on a quiet one: so as many as each turns out to have.
    number, results = 0, tmp_path / "killed"
    while (code := operations(recipe, results, number)) == number:
        folder, _ = pretrain_job(recipe, places(recipe, results))
        assert bits(folder) == bits(calm), number
        assert left_over(results) == [], number
        shutil.rmtree(results)
        number += 1
    assert 40 < code < number < 255  # the last was done before it came so far


def test_a_run_that_is_killed_while_an_old_one_is_set_aside_begins_anew(recipe: Recipe, tmp_path: Path) -> None:
    calm, _ = pretrain_job(recipe, places(recipe, tmp_path / "calm"))
    shutil.copytree(tmp_path / "calm", tmp_path / "counted")
    for number in range(min(30, operations(recipe, tmp_path / "counted", fresh=True))):
        results = tmp_path / str(number)
        shutil.copytree(tmp_path / "calm", results)
        assert operations(recipe, results, number, fresh=True) == number
        folder, _ = pretrain_job(recipe, places(recipe, results), fresh=True)
        assert bits(folder) == bits(calm), number
        assert len(list(results.glob("*-old-*"))) in (1, 2)
        assert [run.path for run in run_folders(results)] == [folder.path]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """An empty disk of so many pages of memory, each time it is called; skips where none can be had."""
    place = tmp_path / "disk"
    place.mkdir()

    def sized(pages: int, options: str = "") -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"{options}size={pages * 4096}", "tmpfs", str(place)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("no disk can be mounted here")
        return place

    yield sized
    while place.is_mount() and subprocess.run(["umount", str(place)], capture_output=True).returncode == 0:
        pass


def test_a_disk_that_is_full_at_any_moment_is_told_and_with_room_the_run_goes_on(
    recipe: Recipe, tmp_path: Path, disk: Callable[..., Path]
) -> None:
    calm, _ = pretrain_job(recipe, places(recipe, tmp_path / "calm"))
    refused = 0
    for pages in range(1, 21):
        results = disk(pages)
        try:
            pretrain_job(recipe, places(recipe, results))
        except RunFailed as error:
            assert "No space left on device" in str(error) and str(results) in str(error)
            refused += 1
        except OSError as error:  # before there was a run
            assert error.errno in FULL and str(error.filename).startswith(str(results))
            refused += 1
        disk(1000, "remount,")
        folder, _ = pretrain_job(recipe, places(recipe, results))
        assert bits(folder) == bits(calm), pages
        assert left_over(results) == [], pages
        subprocess.run(["umount", str(results)], check=True)
    assert refused >= 10


@pytest.mark.parametrize("what", ["run", "results"])
def test_a_folder_that_goes_while_somebody_works_on_it_is_told(what: str, recipe: Recipe, tmp_path: Path) -> None:
    results = tmp_path / "results"

    def remove(row: dict[str, Any]) -> None:
        if row["epoch"] == 1 and results.exists():
            (gone,) = [folder.path for folder in run_folders(results)]
            (gone if what == "run" else results).rename(tmp_path / "moved")

    with pytest.raises(RunFailed, match="the folder of this run has gone"):
        pretrain_job(recipe, places(recipe, results), watch=remove)
    with suppress(FileNotFoundError):
        assert not [path for path in results.iterdir() if path.is_dir()]  # nothing was made in its place
    folder, _ = pretrain_job(recipe, places(recipe, results))
    assert folder.status.finished_well
