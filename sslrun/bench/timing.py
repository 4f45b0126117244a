"""How time is taken: contenders in turns, by process CPU time and by wall, after a warm-up.

Ratios come from neighbours in time, so that a machine that slows down slows both. On a GPU only wall time counts, and
every reading waits for the device.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

Clock = Literal["cpu", "wall"]


@dataclass(frozen=True)
class Settings:
    """What all measurements share. A contender is repeated within a round until it takes about `least` seconds.

    Views and styles work on `batch` images, training steps on `step_batch`.
    """

    device: torch.device
    rounds: int = 5
    batch: int = 128
    step_batch: int = 128
    least: float = 0.2

    @property
    def on_cpu(self) -> bool:
        """Whether the CPU does the work."""
        return self.device.type == "cpu"

    @property
    def clock(self) -> Clock:
        """The clock that counts: CPU time where the CPU does the work."""
        return "cpu" if self.on_cpu else "wall"


@dataclass(frozen=True)
class Timing:
    """Seconds that one call takes, a number a round: CPU time of all threads of this process, and wall time."""

    cpu: tuple[float, ...]
    wall: tuple[float, ...]


def alternate(contenders: Sequence[Callable[[], object]], settings: Settings) -> list[Timing]:
    """Time each contender once a round, forwards in even and backwards in odd rounds, so that drift cancels."""
    repeats = [calls_a_round(call, settings) for call in contenders]
    taken: list[list[tuple[float, float]]] = [[] for _ in contenders]
    turns = range(len(contenders))
    for number in range(settings.rounds):
        for one in turns if number % 2 == 0 else reversed(turns):
            taken[one].append(_seconds(contenders[one], repeats[one], settings.device))
    return [timing(rounds) for rounds in taken]


def timing(rounds: list[tuple[float, float]]) -> Timing:
    """From (CPU, wall) of each round."""
    return Timing(tuple(cpu for cpu, _ in rounds), tuple(wall for _, wall in rounds))


def calls_a_round(call: Callable[[], object], settings: Settings) -> int:
    """Warm up, and find how many calls take about `least` seconds.

    The first call may compile and allocate, so a short one is not believed.
    """
    wall = _seconds(call, 1, settings.device)[1]
    if wall < settings.least:
        wall = _seconds(call, 2, settings.device)[1]
    return max(1, math.ceil(settings.least / wall))


def _seconds(call: Callable[[], object], repeats: int, device: torch.device) -> tuple[float, float]:
    """(CPU, wall) seconds a call."""
    synchronize(device)
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(repeats):
        call()
    synchronize(device)
    return (time.process_time() - cpu) / repeats, (time.perf_counter() - wall) / repeats


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


class Stopwatch:
    """Adds up the time of several stretches of work. On CUDA by events, so that measuring doesn't stop the queue."""

    def __init__(self, device: torch.device) -> None:
        self.device, self._cpu, self._wall = device, 0.0, 0.0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what is done within."""
        on_cuda = self.device.type == "cuda"
        if on_cuda:
            events = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            events[0].record()
        else:
            synchronize(self.device)
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        if on_cuda:
            events[1].record()
            self._events.append(events)
        else:
            synchronize(self.device)
            self._wall += time.perf_counter() - wall
        self._cpu += time.process_time() - cpu

    def take(self, repeats: int) -> tuple[float, float]:
        """(CPU, wall) seconds so far over `repeats`; begin anew."""
        synchronize(self.device)
        wall = self._wall + sum(begin.elapsed_time(end) for begin, end in self._events) / 1000
        taken = self._cpu / repeats, wall / repeats
        self._cpu, self._wall, self._events = 0.0, 0.0, []
        return taken


@contextmanager
def one_thread() -> Iterator[None]:
    """Within, torch works on one CPU thread: what one of several runs at once has, and what can be compared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
