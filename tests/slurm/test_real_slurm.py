"""A sweep on a real Slurm (`cluster`), disturbed as clusters and people do: its table is the local pool's."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import warm

from sslrun.runs import load_runs
from sslrun.sweeps.slurm.engine import SlurmEngine

CLUSTER = Path(__file__).with_name("cluster")
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch")
missing = [name for name in NEEDED if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
pytestmark = [
    pytest.mark.skipif(bool(missing), reason=f"no Slurm here (apt-get install slurm-wlm munge): {', '.join(missing)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="slurmd starts jobs as their users: that needs root"),
]

BASE = """\
data: {kind: digits, size: 16, limit: 64}
views: {crop: {scale: [0.4, 1.0]}, flip: 0, blur: null, greyscale: 0, jitter: null}
network: {backbone: {kind: small_resnet, width: 8}, projector: {hidden: 16, out: 8}}
method: {kind: byol, predictor: {kind: directpred}}
training: {epochs: 1, batch_size: 32}
evaluation: {knn: {k: 5}, linear: null, baselines: []}
"""
GRID = """\
base: base.yaml
axes:
  predictor: {linear: {method.predictor: {kind: linear}}, directpred: {}}
  lr: {"0.1": {optimizer.network.lr: 0.1}, "0.03": {}, "0.01": {optimizer.network.lr: 0.01}}
seeds: 4
"""


@pytest.fixture(scope="module")
def slurm() -> Iterator[None]:
    """A cluster of two nodes, for this module."""
    started = subprocess.run([CLUSTER, "start"], capture_output=True, text=True)
    assert started.returncode == 0, started.stderr
    os.environ["SLURM_CONF"] = started.stdout.strip().partition("=")[2]
    yield
    subprocess.run([CLUSTER, "stop"], check=True)
    del os.environ["SLURM_CONF"]


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory: pytest.TempPathFactory, slurm: None) -> Iterator[None]:
    """A folder with the grid, the table of the local pool in `local`, and one run of it in `r`, which tells what runs
    take."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("slurm"))
    Path("base.yaml").write_text(BASE)
    Path("grid.yaml").write_text(GRID)
    said(begin("--results", "local", "--jobs", "2"))
    one = next(Path("local").glob("grid-*"))
    shutil.copytree(one, Path("r") / one.name)
    yield
    os.chdir(before)


def begin(*arguments: str) -> "subprocess.Popen[str]":
    """`sslrun sweep` on the grid, looking at the queue more often than it would."""
    more_often = partial(setattr, SlurmEngine, "look_seconds", 0.5)
    return warm.start("sweep", "--grid", "grid.yaml", *arguments, prepare=more_often, stderr=subprocess.STDOUT)


def said(process: "subprocess.Popen[str]", code: int = 0) -> str:
    """All that it has said, once it has ended as it should."""
    out, _ = process.communicate()
    assert process.returncode == code, out
    return out


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def until(what: Callable[[], object]) -> None:
    begun = time.monotonic()
    while not what():
        assert time.monotonic() - begun < 120
        time.sleep(0.05)


def ended() -> int:
    return sum(path.read_text().count('"end"') for path in Path("r").glob("slurm/*/*.told.jsonl"))


def running() -> list[str]:
    """The Slurm jobs that run."""
    return subprocess.run(["squeue", "-h", "-r", "-t", "R", "-o", "%i"], capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize(
    ("partition", "what"), [("nope", "invalid partition specified: nope"), ("short", "start these jobs: Partition")]
)
def test_what_slurm_refuses_is_told_and_nothing_stays_submitted(partition: str, what: str) -> None:
    Path("wrong.yaml").write_text(f"partition: {partition}\nhours: 2\npack: 2\n")
    told = said(begin("--results", "r", "--slurm", "wrong.yaml"), code=2)
    assert what in told and "Nothing" in told
    assert subprocess.run(["squeue", "-h"], capture_output=True, text=True).stdout == ""


def test_disturbed_in_every_way_its_table_is_the_local_pools() -> None:
    Path("slurm.yaml").write_text("partition: main\nhours: 0.1\ncpus: 2\npack: 12\n")
    on_slurm = ("--results", "r", "--slurm", "slurm.yaml")

    told = said(begin(*on_slurm))  # it hands over, and ends
    assert "23 new · 1 cached" in told and "2 Slurm jobs of 11 to 12 runs" in told
    until(lambda: ended() >= 1)
    second = begin(*on_slurm, "--watch")
    subprocess.run(["scancel", running()[0]], check=True)
    until(lambda: ended() >= 4)
    kill(second)
    third, fourth = begin(*on_slurm, "--watch"), begin(*on_slurm, "--watch")
    until(lambda: ended() >= 6 and running())
    so_far = ended()
    until(lambda: ended() > so_far and running())  # between two jobs, or before one has begun, nobody hears
    for job in running()[:1]:  # as Slurm does some time before the end
        subprocess.run(["scancel", "--signal=USR2", job], check=True)
    kill(third)
    said(fourth)
    assert "24 cached" in said(begin(*on_slurm, "--plan"))

    left, right = load_runs("local"), load_runs("r")
    columns = [name for name in left.columns if name not in left.attrs["timing"]]
    assert [name for name in columns if left[[name]].to_csv() != right[[name]].to_csv()] == []
    logs = "".join(path.read_text() for path in Path("r").glob("slurm/*/*.out"))
    assert "Requeued job" in logs
