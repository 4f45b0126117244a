"""`PYTHONPATH=.:tests python tests/sweep/kills.py FOLDER`: in a sweep each cell's job is killed by kill -9 right before
another one of its file operations, and tried again by the sweep; and sweeps are done on disks that are full at 20
moments, then with room. By hand: it takes minutes, and root for the disks. What comes out: results/measured/kills.md.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import warm
from killed import BASE, before_each, operations

from sslrun.grids import read_grid
from sslrun.jobs import pretrain_job
from sslrun.runs import load_runs
from sslrun.runs.folder import run_folders
from sslrun.sweeps import worker


def grid(folder: Path, seeds: int) -> Path:
    (folder / "base.yaml").write_text(BASE)
    (folder / "tiny.yaml").write_text(f"base: base.yaml\nseeds: {seeds}\naxes: {{rate: {{usual: {{}}}}}}\n")
    return folder / "tiny.yaml"


def sweep(file: Path, results: Path, *more: str, prepare: Callable[[], object] = lambda: None) -> tuple[int, str]:
    given = ("--grid", file, "--results", results, *more)
    process = warm.start("sweep", *given, prepare=prepare, stderr=subprocess.STDOUT)
    said, _ = process.communicate()
    return process.returncode, said


def bits(results: Path) -> dict[str, bytes]:
    return {run.path.name: run.encoder.read_bytes() for run in run_folders(results)}


def left_over(results: Path) -> list[Path]:
    return [path for path in results.rglob("*") if path.name.endswith(".part") or path.name == "lease.json"]


def kills(folder: Path) -> str:
    (one,) = read_grid(grid(folder, 1)).cells
    count = operations(one.recipe, folder / "counted")
    file, markers = grid(folder, count), folder / "killed"
    markers.mkdir()

    def killed_once() -> None:
        def job(recipe, *given, **options):  # type: ignore[no-untyped-def]
            mark = markers / str(recipe.seed)
            if not mark.exists():
                mark.touch()
                before_each(lambda number: number == recipe.seed and os.kill(os.getpid(), signal.SIGKILL))
            return pretrain_job(recipe, *given, **options)

        worker.pretrain_job = job

    code, said = sweep(file, folder / "disturbed", prepare=killed_once)
    assert code == 0, said
    code, calm = sweep(file, folder / "calm")
    assert code == 0, calm
    tries = [log.read_text().count("images, process") for log in folder.glob("disturbed/*/log.txt")]
    same = bits(folder / "disturbed") == bits(folder / "calm")
    done = f"{len(load_runs(folder / 'disturbed'))}, {sum(one > 1 for one in tries)} of them on a second try"
    killed, left = len(list(markers.iterdir())), len(left_over(folder / "disturbed"))
    return f"| kill -9 before each of {count} operations | {killed} | {done} | {same} | {left} |"


def full_disks(folder: Path) -> str:
    file, disk = grid(folder, 2), folder / "disk"
    disk.mkdir()
    assert sweep(file, folder / "whole")[0] == 0
    told, same, left = 0, [], 0
    for step in range(20):
        size = f"size={(1 + 2 * step) * 4096}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk)], check=True)
        try:
            code, said = sweep(file, disk)
            assert code in (0, 1, 2) and "Traceback" not in said, said
            assert code == 0 or "No space left on device" in said, said
            told += code != 0
            subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
            code, said = sweep(file, disk, "--retry")
            assert code == 0, said
            same.append(bits(disk) == bits(folder / "whole"))
            left += len(left_over(disk))
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    return f"| full disk at 20 moments | {told} | {len(same)} sweeps of 2 | {all(same)} | {left} |"


if __name__ == "__main__":
    print("| what | times | runs done | same bits | left over |\n|---|---|---|---|---|")
    for part in (kills, full_disks):
        place = Path(sys.argv[1]) / part.__name__
        place.mkdir(parents=True)
        print(part(place), flush=True)
