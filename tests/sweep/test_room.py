"""How many jobs at once a GPU gets: on a GPU that is a formula, with histories as jobs write them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sslrun.runs.history import History
from sslrun.sweeps import local
from sslrun.sweeps.engine import Outcome
from sslrun.sweeps.local import LocalEngine
from sslrun.sweeps.room import Room
from sslrun.sweeps.slots import Device, Slots


class Gpu:
    """Jobs in a room, each of which does `speed(jobs at once)` of its own pace of images a second."""

    def __init__(self, folder: Path, room: Room, speed: Callable[[int], float], share: float = 0.1) -> None:
        self.folder, self.room, self.speed, self.share = folder, room, speed, share
        self.jobs: dict[str, History] = {}
        self.epochs: dict[str, int] = {}
        self.made = 0

    def fill(self) -> None:
        while len(self.jobs) < self.room.allowed:
            name = f"job {self.made}"
            self.jobs[name], self.epochs[name] = History(self.folder / name), 0
            self.made += 1
        self.room.look(self.jobs)

    def epoch(self) -> None:
        """All do one, as fast as so many can, some by nature ten times as fast as others; then the sweep looks."""
        for number, (name, history) in enumerate(self.jobs.items()):
            self.epochs[name] += 1
            pace = 1000.0 * 10 ** (number % 2) * self.speed(len(self.jobs))
            share = self.share * len(self.jobs)
            row = {"epoch": self.epochs[name], "images_per_second": pace, "memory_share": share}
            history.append(row)
        self.room.look(self.jobs)
        self.fill()

    def end(self, name: str) -> None:
        self.room.done([name])
        del self.jobs[name]
        self.room.look(self.jobs)
        self.fill()


def gpu(folder: Path, most: int, speed: Callable[[int], float], share: float = 0.1) -> Gpu:
    made = Gpu(folder, Room("cuda:0", most), speed, share)
    made.fill()
    return made


def test_one_job_at_first_and_the_next_after_two_epochs(tmp_path: Path) -> None:
    one = gpu(tmp_path, 4, lambda _: 1.0)
    assert one.room.allowed == len(one.jobs) == 1
    one.epoch()
    assert one.room.allowed == 1  # the first epoch was not whole, for all that is known
    one.epoch()
    assert one.room.allowed == len(one.jobs) == 2


def test_it_stops_where_one_more_gets_no_more_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    totals = {1: 1.0, 2: 1.6, 3: 1.9, 4: 1.92, 5: 3.0}
    one = gpu(tmp_path, 8, lambda count: totals[count] / count)
    for _ in range(20):
        one.epoch()
    assert one.room.allowed == 3
    assert capsys.readouterr().out == "cuda:0: 3 jobs at once from now on, as 4 get 1.01 times as much done as 3\n"


def test_it_stops_at_what_was_asked_for_and_says_what_it_brings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = gpu(tmp_path, 2, lambda count: 1.3 / count if count > 1 else 1.0)
    for _ in range(8):
        one.epoch()
    assert one.room.allowed == 2
    assert capsys.readouterr().out == "cuda:0: 2 jobs at once from now on, as 2 get 1.30 times as much done as 1\n"


@pytest.mark.parametrize(("share", "fit"), [(0.5, 1), (0.475, 2), (0.3, 3), (0.96, 1)])
def test_it_stops_where_memory_holds_no_more(
    tmp_path: Path, share: float, fit: int, capsys: pytest.CaptureFixture[str]
) -> None:
    one = gpu(tmp_path, 8, lambda _: 1.0, share)
    for _ in range(20):
        one.epoch()
    assert one.room.allowed == fit
    assert f"{fit} job{'s' * (fit > 1)} at once from now on, as they fill {fit * share:.0%} of its memory" in (
        capsys.readouterr().out
    )


def test_out_of_memory_means_one_fewer_for_good(tmp_path: Path) -> None:
    one = gpu(tmp_path, 8, lambda _: 1.0, 0.01)
    for _ in range(2):
        one.epoch()
    assert one.room.allowed == 2
    one.room.ran_out(1)  # alone: it is the job's own fault
    assert one.room.allowed == 2
    one.room.ran_out(2)
    one.end("job 1")
    for _ in range(9):
        one.epoch()
    assert one.room.allowed == 1


def test_an_epoch_during_which_another_came_counts_for_neither(tmp_path: Path) -> None:
    room, history = Room("cuda:0", 4), History(tmp_path / "a")
    room.look({"a": history})
    for epoch, pace in ((1, 5.0), (2, 100.0)):
        history.append({"epoch": epoch, "images_per_second": pace})
        room.look({"a": history})
    other = History(tmp_path / "b")
    room.look({"a": history, "b": other})
    history.append({"epoch": 3, "images_per_second": 99.0})  # begun alone
    for epoch in (1, 2):
        other.append({"epoch": epoch, "images_per_second": 50.0})
    room.look({"a": history, "b": other})
    assert room.allowed == 2  # not yet known
    history.append({"epoch": 4, "images_per_second": 51.0})
    room.look({"a": history, "b": other})
    assert room.allowed == 1


def test_jobs_too_short_to_be_measured_are_no_reason_to_go_one_by_one(tmp_path: Path) -> None:
    one = gpu(tmp_path, 3, lambda _: 1.0)
    for number in range(4):
        one.epoch()
        one.end(f"job {number}")
    assert one.room.allowed == 3


def test_other_jobs_are_compared_where_none_ran_with_both_numbers(tmp_path: Path) -> None:
    room, jobs = Room("cuda:0", 4), {name: History(tmp_path / name) for name in "abc"}

    def epochs(names: str, pace: float) -> None:
        there = {name: jobs[name] for name in names}
        room.look(there)
        for epoch in (1, 2):
            for history in there.values():
                history.append({"epoch": epoch, "images_per_second": pace})
        room.look(there)

    epochs("a", 100.0)
    assert room.allowed == 2
    epochs("bc", 51.0)  # together 1.02 times as many as a alone
    assert room.allowed == 1


def test_a_damaged_history_is_for_its_job_to_tell(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("nonsense\n")
    room = Room("cuda:0", 4)
    room.look({"a": History(tmp_path / "a")})
    room.look({"a": History(tmp_path / "gone")})
    assert room.allowed == 1


def test_rows_without_a_speed_tell_nothing(tmp_path: Path) -> None:
    room, history = Room("cuda:0", 4), History(tmp_path / "a")
    for epoch in range(5):
        history.append({"epoch": epoch, "images_per_second": None})
        room.look({"a": history})
    assert room.allowed == 1


@settings(deadline=None, max_examples=30)
@given(most=st.integers(2, 6), gains=st.lists(st.floats(0.8, 1.5), min_size=5, max_size=5), share=st.floats(0.01, 0.6))
def test_what_is_settled_is_the_first_stop(
    most: int, gains: list[float], share: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assume(all(abs(gain - 1.05) > 1e-6 for gain in gains) and all(abs(share * n - 0.95) > 1e-6 for n in range(9)))
    totals = [1.0]
    for gain in gains:
        totals.append(totals[-1] * gain)
    one = gpu(tmp_path_factory.mktemp("gpu"), most, lambda count: totals[count - 1] / count, share)
    for _ in range(2 * most + 4):
        one.epoch()
    expected = 1
    while expected < most and share * (expected + 1) <= 0.95 and gains[expected - 1] >= 1.05:
        expected += 1
    assert one.room.allowed == expected


def test_the_engine_asks_before_it_starts_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Process:
        exitcode: int | None = None
        sentinel = 0

        def __init__(self, **_: object) -> None: ...

        def start(self) -> None: ...

        def join(self) -> None: ...

        def kill(self) -> None: ...

    class Job:
        recipes, data = (None,), None

        def __init__(self, name: str) -> None:
            self.identity, self.history, self.log = name, History(tmp_path / name), tmp_path / "log"
            self.status = type("status", (), {"threads": None})

    engine = LocalEngine(Slots((Device("cuda:0", "0"), Device("cuda:1", "1")), 3, 1), tmp_path)
    monkeypatch.setattr(engine._context, "Process", Process, raising=False)
    monkeypatch.setattr(local, "warm_up", lambda _: None)
    monkeypatch.setattr(local, "wait", lambda *_: None)
    assert "at most 3" in engine.foresee([])[0] and "as if 3 ran from the start" in engine.foresee([])[0]
    jobs = [Job(str(number)) for number in range(4)]
    for job in jobs[:2]:
        engine.start(job, job)  # type: ignore[arg-type]  # all that is looked at
    assert not engine.room()  # one on each
    for epoch in range(3):
        engine.wait(0)
        jobs[0].history.append({"epoch": epoch, "images_per_second": 1.0, "memory_share": 0.2})
    engine.wait(0)
    assert engine.room() and engine.free() == Device("cuda:0", "0")
    engine.start(jobs[2], jobs[2])  # type: ignore[arg-type]
    assert not engine.room()
    monkeypatch.setattr("sslrun.sweeps.started.Started.outcome", lambda _: Outcome("memory", "out of it"))
    monkeypatch.setattr(engine.started[engine.running[2]].processes[0], "exitcode", 1)
    assert [outcome.kind for _, outcome in engine.wait(0)] == ["memory"]
    assert not engine.room() and engine.rooms[Device("cuda:0", "0")].allowed == 1
    for kind, job, allowed in (("held", jobs[1], 1), ("failed", jobs[3], 1), ("done", jobs[3], 2)):
        if job not in [running.job for running in engine.running]:
            engine.start(job, job)  # type: ignore[arg-type]
        (its,) = [running for running in engine.running if running.job is job]
        engine.wait(0)
        monkeypatch.setattr("sslrun.sweeps.started.Started.outcome", lambda _, kind=kind: Outcome(kind))
        monkeypatch.setattr(engine.started[its].processes[0], "exitcode", 1)
        assert [outcome.kind for _, outcome in engine.wait(0)] == [kind]
        engine.wait(0)
        assert engine.rooms[Device("cuda:1", "1")].allowed == allowed, kind  # only done jobs were too short
    assert not LocalEngine(Slots((Device("cpu"),), 3, 1), tmp_path).rooms
    assert not LocalEngine(Slots((Device("cuda:0"),), 1, 1), tmp_path).rooms
