"""Threads: as many as are free, kept to a run's end, never beyond the machine; devices by the names that there are."""

from pathlib import Path

import psutil
import pytest
import torch
from killed import BASE

from sslrun.errors import InputError, Interrupted
from sslrun.jobs import choose_device, places, pretrain_job
from sslrun.jobs.places import folders
from sslrun.jobs.threads import MOST_A_CORE, use_threads
from sslrun.jobs.threads import _chosen as threads_chosen
from sslrun.limits import cores
from sslrun.recipe import read_recipe
from sslrun.runs.folder import run_folders
from sslrun.sweeps.slots import slots


@pytest.fixture(autouse=True)
def one_thread_again() -> None:
    yield
    torch.set_num_threads(1)


@pytest.mark.parametrize(("busy", "free"), [([0.0] * 4, 4), ([100, 90, 5, 0], 2), ([100] * 4, 1), ([0, 60, 70, 80], 2)])
def test_threads_are_as_many_as_cores_are_idle(busy: list[float], free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("sslrun.jobs.threads.cores", lambda: 4)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(psutil, "cpu_percent", lambda _, percpu=False: busy if percpu else sum(busy) / 4)
    assert use_threads(None) == torch.get_num_threads() == free
    assert use_threads(3) == torch.get_num_threads() == 3
    assert use_threads(3, kept=2) == torch.get_num_threads() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with monkeypatch.context() as patch:  # as many as a machine can have, at most, whatever the environment says
        patch.setattr(torch, "get_num_threads", lambda: 1_000_000)
        patch.setattr(torch, "set_num_threads", lambda _: None)
        assert threads_chosen("cpu") == 4 * MOST_A_CORE
    torch.set_num_threads(1)
    assert use_threads(None) == 1


@pytest.mark.parametrize("count", [MOST_A_CORE * cores() + 1, 1_000, 100_000, 10**18])
def test_more_threads_than_a_machine_can_have_are_refused_before_anything_is_made(count: int, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(BASE)
    recipe = read_recipe(str(tmp_path / "tiny.yaml"), [f"run.threads={count}"])
    with pytest.raises(InputError, match=rf"run\.threads: {count:,} threads on {cores()} core"):
        pretrain_job(recipe, places(recipe, tmp_path / "results"))
    with pytest.raises(InputError, match=r"run\.threads"):
        slots("cpu", 1, count)
    assert not (tmp_path / "results").exists()


def test_a_run_that_goes_on_keeps_its_threads_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(BASE)

    def stop(row: dict[str, object]) -> None:
        if row["epoch"] == 1:
            raise Interrupted("enough")

    def job(*changes: str, **options: object) -> list[str]:
        said: list[str] = []
        recipe = read_recipe(str(tmp_path / "tiny.yaml"), changes)
        pretrain_job(recipe, places(recipe, tmp_path / "results"), say=said.append, **options)  # type: ignore[arg-type]
        return said

    with pytest.raises(Interrupted):
        job("run.threads=2", watch=stop)
    (said,) = job("run.threads=1")
    assert "keeps to the 2 CPU threads" in said and "--fresh" in said
    (folder,) = run_folders(tmp_path / "results")
    assert folder.status.threads == 2
    assert job("run.threads=1") == []  # it is done
    folder.update_status(state="running", threads=100_000)
    with pytest.raises(InputError, match=r"100,000 threads.*\n.*--fresh"):
        job()


@pytest.mark.parametrize("name", ["meta", "cpu:5", "nonsense", "cuda:", "cuda:x", "xla", "CPU", "mps:1", ""])
def test_devices_of_other_names_are_refused(name: str) -> None:
    with pytest.raises(InputError) as refused:
        choose_device(name)
    assert "auto, cpu, cuda, cuda:1" in str(refused.value) and len(str(refused.value)) < 150


def test_of_what_is_wrong_with_a_device_the_first_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise RuntimeError("no driver\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setattr(torch, "empty", refused)
    with pytest.raises(InputError, match=r"this device can't be used: no driver\n"):
        choose_device("cuda:0")


def test_weights_are_looked_at_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(BASE)
    torch.save({"weight": torch.zeros(7, 4)}, tmp_path / "w.pt")
    recipe = read_recipe(str(tmp_path / "tiny.yaml"), [f"network.weights={tmp_path / 'w.pt'}"])
    with pytest.raises(InputError, match="another network"):
        pretrain_job(recipe, places(recipe, tmp_path / "results"))
    assert not (tmp_path / "results").exists()


def test_fresh_mends_a_run_whose_status_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(BASE)
    recipe = read_recipe(str(tmp_path / "tiny.yaml"))
    folder, _ = pretrain_job(recipe, places(recipe, tmp_path / "results"))
    (folder.path / "status.json").write_text("")
    with pytest.raises(InputError, match="--fresh"):
        pretrain_job(recipe, places(recipe, tmp_path / "results"))
    folder, _ = pretrain_job(recipe, places(recipe, tmp_path / "results"), fresh=True)
    assert folder.status.finished_well


@pytest.mark.parametrize(
    ("given", "said", "set_", "expected"),
    [
        ("given", "said", "set", "given"),
        (None, "said", "set", "said"),
        (None, None, "set", "set"),
        (None, None, None, None),
    ],
)
def test_where_arguments_come_before_recipe_environment_and_defaults(
    given: str | None, said: str | None, set_: str | None, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SSLRUN_RESULTS", set_ and f"{set_}/r"), ("SSLRUN_DATA", set_ and f"{set_}/d")):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    changes = [f"run={{results: {said}/r, data: {said}/d}}"] if said else []
    arguments = (Path(given, "r"), Path(given, "d")) if given else (None, None)
    found = folders(read_recipe("quickstart", changes), *arguments)
    assert found == ((Path(expected, "r"), Path(expected, "d")) if expected else (Path("results"), Path("data")))
    if not said:
        assert folders(None, *arguments) == found
