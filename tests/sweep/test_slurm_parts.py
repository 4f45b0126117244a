"""What a sweep makes of Slurm without one: the file after --slurm, runs packed into jobs, the plan, what jobs tell."""

import json
from collections import Counter
from pathlib import Path

import pytest
from scripted_sweeps import plan_of

from sslrun.console import span
from sslrun.data import open_dataset
from sslrun.errors import InputError
from sslrun.grids import read_grid
from sslrun.grids.engines import Slurm, read_slurm
from sslrun.jobs.measuring import Cost
from sslrun.recipe.schema import Run
from sslrun.sweeps.slurm.arrays import Told, new_array, refused, tell
from sslrun.sweeps.slurm.engine import SlurmEngine
from sslrun.sweeps.slurm.packing import bill, pack
from sslrun.sweeps.work import Job, jobs_of


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory, grid: Path) -> list[Job]:
    return jobs_of(read_grid(grid).cells, tmp_path_factory.mktemp("data"), {"device": "cpu", "threads": 1})


def many(job: Job, count: int) -> list[Job]:
    return [Job(f"{number:032x}", job.cells, open_dataset(job.data.section, job.data.root)) for number in range(count)]


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("partitoin: gpu\n", "s.yaml:1:1", ("partitoin: no such option", "did you mean 'partition'?")),
        ("cpus: 0\n", "s.yaml:1:7", ("cpus",)),
        ("hours: 4h\n", "s.yaml:1:8", ("hours",)),
        ("hours: 0.01\n", "s.yaml:1:8", ("warned before they have begun",)),
        ("options: {qos: x,\n  array: 3}\n", "s.yaml:2:10", ("array is set by sslrun",)),
        ("options: {partition: x}\n", "s.yaml:1:22", ("partition is set by sslrun",)),
    ],
)
def test_the_file_is_checked_as_recipes_are(tmp_path: Path, text: str, where: str, words: tuple[str, ...]) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(InputError) as refusal:
        read_slurm(tmp_path / "s.yaml")
    said = str(refusal.value)
    assert where in said and all(word in said for word in words), said


def test_a_grid_may_name_it_as_its_engine(tmp_path: Path, grid: Path) -> None:
    path = grid.with_name("on_slurm.yaml")
    path.write_text(grid.read_text() + "engine: {kind: slurm, partition: gpu, gpus: 2}\n")
    assert read_grid(path).file.engine == Slurm(kind="slurm", partition="gpu", gpus=2)


def test_a_thousand_short_runs_share_few_jobs_and_long_ones_none(jobs: list[Job]) -> None:
    section = Slurm(kind="slurm", hours=2, cpus=4, pack_minutes=10)
    short = [(job, 5.0) for job in many(jobs[0], 1000)]
    packs = pack(short, section, 4)
    assert len(packs) <= 1000 / 10
    assert Counter(job.identity for one in packs for job in one) == Counter(job.identity for job, _ in short)
    assert min(sum(5.0 for _ in one) / 4 for one in packs[:-1]) >= 600  # none but the last is shorter than asked for
    assert max(sum(5.0 for _ in one) / 4 for one in packs) <= 0.8 * 7200
    assert len(pack([(job, 3000.0) for job in many(jobs[0], 24)], section, 1)) == 24
    assert len(pack([(job, 3000.0) for job in many(jobs[0], 24)], section, 4)) == 6  # no core of a job idles
    assert len(pack([(job, None) for job in many(jobs[0], 24)], section, 4)) == 24
    assert [*map(len, pack(short[:10], section.model_copy(update={"pack": 4}), 1))] == [4, 4, 2]


def test_the_bill_says_jobs_and_hours_and_whether_runs_fit(jobs: list[Job]) -> None:
    section = Slurm(kind="slurm", hours=2, gpus=1)
    (line,) = bill([(job, 3600.0) for job in jobs[:4]], section, 1)
    assert line == "4 Slurm jobs of 1 run · up to 1h 00m each · 4 GPU hours besides waiting and starting"
    _, long = bill([(jobs[0], 20000.0)], section, 1)
    assert "it will queue again 2 times" in long  # three jobs of 2 h hold 5.6 h but for the warnings


def test_the_plan_needs_no_slurm(tmp_path: Path, grid: Path, jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    section = Slurm(kind="slurm", partition="main", cpus=2, pack=4)
    engine = SlurmEngine(section, Run(), tmp_path / "results")
    monkeypatch.setattr(engine, "measure", lambda job, log: Cost(10.0, 5.0, 2_000_000))
    text = plan_of(jobs, grid, tmp_path / "results", engine).text()
    assert "Slurm in main: 16 jobs at once of 2 cores, each with 2 runs at once; measured on a few steps" in text
    each = 10.0 * jobs[0].recipes[0].training.epochs + 5.0 * len(jobs[0].recipes)
    assert f"1 Slurm job of 4 runs · up to {span(2 * each)} each" in text
    assert f"done in {span(2 * each)}, " in text  # two after two, whatever number of jobs there may be
    with pytest.raises(InputError, match="no sbatch"):
        engine.warm_up()
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(("run", "what"), [({"device": "cuda"}, "has 0 GPUs"), ({"threads": 3}, "has 2 CPU cores")])
def test_what_a_job_cannot_do_is_told(tmp_path: Path, run: dict[str, object], what: str) -> None:
    with pytest.raises(InputError, match=what):
        SlurmEngine(Slurm(kind="slurm", cpus=2), Run.model_validate(run), tmp_path)


def test_what_a_job_tells_is_taken_in_line_by_line(tmp_path: Path) -> None:
    array = new_array(tmp_path, [["a", "b"], ["c"]])
    assert array.cells == [["a", "b"], ["c"]] and array.folder.parent == tmp_path / "slurm"
    told = Told(array.told(0))
    told.read()
    assert not told.begun
    tell(told.path, run="a", begun=1.5)
    half = json.dumps({"run": "a", "end": "done", "reason": "", "seconds": 2.0}) + "\n"
    with told.path.open("a") as file:
        file.write(half[:9])
    told.read()
    assert told.begun == {"a": 1.5} and not told.ended
    with told.path.open("a") as file:
        file.write(half[9:])
    tell(told.path, trouble="no room")
    told.read()
    assert told.ended["a"]["end"] == "done" and told.trouble == "no room"


def test_what_slurm_says_is_what_is_told() -> None:
    said = "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed\nother"
    error = refused(said)
    assert error.exit_code == 2
    assert str(error).startswith("--slurm: Slurm refuses the jobs: invalid partition specified: nope; Batch job sub")
