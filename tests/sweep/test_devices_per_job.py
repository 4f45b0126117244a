"""`sweep --devices-per-job`: a cell in several processes is the cell of one, and costs as much as they do together."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from scripted_sweeps import Silent, folder_of, plan_of
from torch.testing import assert_close

from sslrun.errors import InputError
from sslrun.grids import read_grid
from sslrun.grids.engines import Local, Slurm
from sslrun.jobs import Places, pretrain_job
from sslrun.jobs.measuring import Cost
from sslrun.recipe.schema import Run
from sslrun.runs.folder import RunFolder, find
from sslrun.runs.history import Row
from sslrun.sweeps import local, slots
from sslrun.sweeps.local import LocalEngine
from sslrun.sweeps.scheduler import Sweep
from sslrun.sweeps.session import Options, opened, planned
from sslrun.sweeps.slots import Device, Slots
from sslrun.sweeps.slurm.allocation import Allocation
from sslrun.sweeps.slurm.engine import SlurmEngine
from sslrun.sweeps.slurm.packing import bill
from sslrun.sweeps.work import Job, jobs_of

EPOCHS = 3
SMALL = ["data.limit=64", f"training={{epochs: {EPOCHS}, batch_size: 32}}", "optimizer.network.lr=0.001"]
SMALL += ["run.checkpoint_minutes=0", f"evaluation.every={EPOCHS}", "network.projector={kind: none}", "views.size=16"]
SMALL += ["network.backbone={kind: vit, patch: 8, width: 16, depth: 1, heads: 2}"]  # no batch norm: fewer exchanges
NUMBERS = ("loss", "std", "rank")


@pytest.fixture
def jobs(tmp_path: Path, grid: Path) -> list[Job]:
    cells = [cell for cell in read_grid(grid, SMALL).cells if cell.seed == 0]
    return jobs_of(cells, tmp_path, {"device": "cpu", "threads": 1})


class _Tells(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def event(self, text: str) -> None:
        self.said.append(text)


def rows(job: Job, results: Path) -> list[Row]:
    folder = find(results, job.identity)
    assert folder is not None
    return folder.history.read()


@pytest.mark.timeout(900)  # processes that wait for each other at every layer are slow where cores are busy
def test_cells_of_two_processes_of_which_one_is_killed_are_the_cells_of_one(
    jobs: list[Job], grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several, alone, watcher = tmp_path / "several", tmp_path / "alone", _Tells()
    engine = LocalEngine(Slots((Device("cpu"),), 1, 1, processes=2), several)
    monkeypatch.setattr(engine, "measure", lambda job, log: Cost(1.0, 1.0, 1))
    start, handed = engine.start, list[Job]()

    def start_and_kill_once(job: Job, folder: RunFolder, **how: bool) -> None:
        start(job, folder, **how)
        handed.append(job)
        (started,) = engine.started.values()
        while len(handed) == 1 and started.alive() and not folder.history.read():
            time.sleep(0.005)
        if len(handed) == 1:
            os.kill(started.processes[1].pid or 0, signal.SIGKILL)

    monkeypatch.setattr(engine, "start", start_and_kill_once)
    sweep = Sweep(plan_of(jobs, grid, several, engine).entries, engine, watcher, several)
    sweep.run()
    assert not sweep.failures and len(sweep.done) == len(jobs) == 2 and handed == [jobs[0], jobs[1], jobs[0]]
    (again,) = (text for text in watcher.said if "tried again" in text)
    assert "killed: process 1 of 2, signal 9 (killed)" in again
    for job in jobs:
        pretrain_job(job.recipes[0], Places(alone, job.data))
        ours, theirs = rows(job, several), rows(job, alone)
        assert [row["epoch"] for row in ours] == [*range(EPOCHS + 1)]
        for name in NUMBERS:
            assert_close([row[name] or 0.0 for row in ours], [row[name] or 0.0 for row in theirs], atol=1e-3, rtol=1e-3)
        probes = [float(table[-1]["probe.knn.accuracy"] or 0.0) for table in (ours, theirs)]  # by all together
        assert_close(probes[0], probes[1], atol=0.02, rtol=0.0)
        found = find(several, job.identity)
        assert found is not None and found.status.processes == 2 and not job.missing(found)


def test_each_job_is_handed_gpus_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, jobs: list[Job]) -> None:
    handed: list[dict[str, str]] = []

    class Process:
        pid, exitcode, sentinel = 0, None, 0

        def __init__(self, **given: Any) -> None:
            handed.append(given["args"][4])

        def start(self) -> None: ...

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,6,5,4,3,2,1")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 7)
    monkeypatch.setattr(slots, "choose_device", lambda name: Device(f"{name}:0"))
    monkeypatch.setattr(Device, "type", Device.kind, raising=False)
    found = slots.slots("cuda", threads=1, processes=3)
    assert str(found) == "1 at once on each, 1 thread a process, 3 processes a job, cuda:0+cuda:1+cuda:2, " + (
        "cuda:3+cuda:4+cuda:5"
    )
    engine = LocalEngine(found, tmp_path)
    monkeypatch.setattr(engine._context, "Process", Process, raising=False)
    monkeypatch.setattr(local, "warm_up", lambda _: None)
    for job in jobs:
        engine.start(job, folder_of(job, tmp_path))
    assert not engine.room()
    assert [one["CUDA_VISIBLE_DEVICES"] for one in handed] == ["7,6,5"] * 3 + ["4,3,2"] * 3
    assert [(one["RANK"], one["LOCAL_RANK"], one["WORLD_SIZE"]) for one in handed[3:]] == [
        (str(rank), str(rank), "3") for rank in range(3)
    ]
    assert len({one["MASTER_PORT"] for one in handed}) == 2
    with pytest.raises(
        InputError, match=r"devices-per-job: a job would take 8 devices, and there are 7 GPUs\nAt most 7"
    ):
        slots.slots("cuda", processes=8)


def test_the_plan_counts_devices(grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "cores", lambda: 4)
    monkeypatch.setattr(LocalEngine, "measure", lambda *_: Cost(10.0, 5.0, 2_000_000))

    def text(devices: int | None, **how: Any) -> str:
        options = Options(tmp_path, device="cpu", devices_per_job=devices, **how)
        with planned(read_grid(grid, SMALL), options, start=False) as (plan, _):
            return plan.text()

    assert "4 runs now: about 2m 40s of device time" in text(None) and "done in 40s" in text(None)
    assert "4 runs now: about 5m 20s of device time" in text(2) and "done in 1m 20s" in text(2)
    assert "2 at once, 1 thread a process, 2 processes a job, cpu" in text(2)
    assert "2 runs now" in text(2, budget=170.0)
    with pytest.raises(InputError, match="a job would take 5 devices, and there are 4 processor cores"):
        text(5)
    with pytest.raises(InputError, match=r"a batch of 32 images can't be cut into parts for 33 devices, in the cell"):
        monkeypatch.setattr(slots, "cores", lambda: 64)
        text(33)


def test_a_slurm_job_has_the_gpus_of_a_run(jobs: list[Job], tmp_path: Path) -> None:
    section = Slurm(kind="slurm", gpus=1, cpus=8, devices_per_job=4, hang_minutes=2)
    engine = SlurmEngine(section, Run(), tmp_path)
    assert str(engine) == "Slurm: 16 jobs at once of 4 GPUs, a run on 4" and engine.threads == 2
    assert (
        "2 Slurm jobs of 1 run · up to 1h 00m each · 8 GPU hours" in engine.foresee([(job, 3600.0) for job in jobs])[0]
    )
    work = Allocation.of(jobs, tmp_path, tmp_path / "told", engine.device, engine.threads, engine.section)
    assert (work.processes, work.side_by_side, work.hang_after) == (4, 1, 120.0)
    assert bill([(jobs[0], 60.0)], section.model_copy(update={"gpus": 8}), 2)
    with pytest.raises(InputError, match="16 threads a run, and a Slurm job has 8 CPU cores"):
        SlurmEngine(section.model_copy(update={"gpus": 0}), Run(threads=4), tmp_path)


def test_the_command_line_comes_before_the_file(grid: Path, tmp_path: Path) -> None:
    cells, section = read_grid(grid), Slurm(kind="slurm", hang_minutes=5, cpus=2)
    for options, wanted in (({}, (1, 5)), ({"hang_after": 60.0, "devices_per_job": 2}, (2, 1))):
        with opened(cells, Options(tmp_path, engine=section, **options), start=False) as session:
            assert isinstance(session.engine, SlurmEngine)
            found = session.engine.section
            assert (found.devices_per_job, found.hang_minutes) == wanted
    with opened(cells, Options(tmp_path, device="cpu", devices_per_job=2), start=False) as session:
        assert isinstance(session.engine, LocalEngine) and session.engine.slots.processes == 2
    with pytest.raises(InputError, match="--devices-per-job: the engine of this sweep, local, has none"):
        field = Local.model_fields.copy()
        field.pop("devices_per_job")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Local, "model_fields", field)
            with opened(cells, Options(tmp_path, device="cpu", devices_per_job=2), start=False):
                pass
