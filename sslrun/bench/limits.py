"""How near a step is to what the device can do: against products of matrices, against itself as a CUDA graph, beside
other jobs on the same device, and in two processes; and what each part of it takes. What a step is: `training`.
"""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sslrun.bench.rows import Row
from sslrun.bench.timing import Settings, Timing, alternate, synchronize
from sslrun.bench.training import Steps, barred, precisions
from sslrun.data.images import ImageSet
from sslrun.limits import cores
from sslrun.networks.ema import ema_update
from sslrun.networks.group import ALONE, Group
from sslrun.recipe.schema import BatchStyle, Recipe
from sslrun.views.pipeline import Views

LIMIT_BARS = {"cpu": 0.6}
"""Least part of the measured matrix rate at which a step's own products are done."""
_DEFAULT_BSS = "BSS's default"
PART_BARS = {"BSS": 0.03, _DEFAULT_BSS: 0.03}
"""Most of a step on CUDA that a part may take; the predictor's rule has its own row."""
GRAPH_BAR = 1.8
JOBS = (2, 4)
"""Jobs at once on one device, against one."""
_SIDES = {"cpu": 1024, "cuda": 8192}  # of the matrices: large enough that their rate no longer rises
_JOB_SECONDS = 5.0


def limit_rows(recipe: Recipe, images: ImageSet, settings: Settings) -> list[Row]:
    """Steps end to end against the time that their multiplications would take at the rate of one large product of
    matrices, measured in turns with them. The ratio is the share of that rate.
    """
    rows = []
    for precision in precisions(settings):
        steps = Steps(recipe, images, settings, precision)
        with FlopCounterMode(display=False) as counter:
            steps.alone()
        product, operations = _product(settings.device, precision)
        rate, ours = alternate([product, steps.end_to_end], settings)
        scale = counter.get_total_flops() / operations
        ideal = Timing(*(tuple(scale * seconds for seconds in clock) for clock in (rate.cpu, rate.wall)))
        what = f"{recipe.name} {precision} / its products at the matrix rate"
        if settings.device.type == "cuda":
            what += f", peak {torch.cuda.max_memory_allocated(settings.device) / 1e9:.1f} GB"
        bar = barred(recipe, LIMIT_BARS.get(settings.device.type))
        rows.append(Row("limit", what, ideal, ours, settings.clock, "images/s", units=settings.step_batch, bar=bar))
    return rows


def _product(device: torch.device, precision: str) -> tuple[Callable[[], Tensor], int]:
    """A product of two large matrices, and its floating-point operations."""
    side = _SIDES.get(device.type, 4096)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = torch.randn(2, side, side, device=device).to(dtype)
    return partial(torch.mm, left, right), 2 * side**3


def part_rows(recipe: Recipe, images: ImageSet, settings: Settings) -> list[Row]:
    """The shares of a step that the optimisers, the target's average and BSS of all views take, each done by itself."""
    precision = precisions(settings)[-1]
    steps = Steps(recipe, images, settings, precision)
    loss, method, trainer = steps.alone(), steps.trainer.method, steps.trainer
    parts: dict[str, Callable[[], object]] = {"optimiser": partial(trainer.updates.step, 0, loss)}
    if method.target is not None:
        parts["target's average"] = partial(ema_update, method.target, method.online, 0.99)
    if isinstance(trainer.views, Views):
        own = isinstance(recipe.views.style, BatchStyle)
        parts["BSS" if own else _DEFAULT_BSS] = _bss(recipe, trainer.views, steps.ready)
    step, *taken = alternate([steps.end_to_end, *parts.values()], settings)
    bars = PART_BARS if settings.device.type == "cuda" else {}
    return [
        Row(
            "parts",
            f"{recipe.name} {precision}: {name}",
            step,
            part,
            settings.clock,
            "ms",
            share=True,
            bar=barred(recipe, bars.get(name)),
        )
        for name, part in zip(parts, taken, strict=True)
    ]


def _bss(recipe: Recipe, views: Views, ready: list[Tensor]) -> Callable[[], object]:
    """Each view of a batch in one style, as drawn with the recipe's own options, or with BSS's defaults."""
    style = recipe.views.style
    section = recipe.views.model_copy(
        update={"style": style if isinstance(style, BatchStyle) else BatchStyle(kind="bss", probability=1.0)}
    )
    styled = Views(section, channels=views.channels, stored=views.stored)
    draws = styled.draw(len(ready[0]), recipe.seed, 0)
    x = [view_NCHW.sigmoid() for view_NCHW in ready]  # in [0, 1]
    return lambda: [styled.styled(x_NCHW, one.style) for x_NCHW, one in zip(x, draws, strict=True) if one.style]


def graph_rows(recipe: Recipe, images: ImageSet, settings: Settings) -> list[Row]:
    """Steps as a CUDA graph against plain ones; none where steps are not captured."""
    rows = []
    for precision in precisions(settings) if settings.device.type == "cuda" else ():
        plain = recipe.model_copy(update={"run": recipe.run.model_copy(update={"graph": "off"})})
        eager, graph = (Steps(one, images, settings, precision) for one in (plain, recipe))
        if graph.trainer.captured is None:
            continue
        reference, ours = alternate([eager.end_to_end, graph.end_to_end], settings)
        what, bar = f"{recipe.name} {precision}: graph / plain", barred(recipe, GRAPH_BAR)
        rows.append(Row("graph", what, reference, ours, settings.clock, "images/s", units=settings.step_batch, bar=bar))
    return rows


def job_rows(recipe: Recipe, images: ImageSet, settings: Settings) -> list[Row]:
    """Several jobs at once on a GPU against one: images a second of all together."""
    return jobs_at_once(recipe, images, settings, _JOB_SECONDS) if settings.device.type == "cuda" else []


def jobs_at_once(recipe: Recipe, images: ImageSet, settings: Settings, seconds: float) -> list[Row]:
    """`job_rows` on any device, each job for so many seconds a round. Jobs are processes, as a sweep's are."""
    precision = precisions(settings)[-1]
    taken: dict[int, list[float]] = {}
    for count in (1, *JOBS):
        with _Jobs(count, (recipe, images, settings, precision)) as jobs:
            taken[count] = [1 / sum(rate for rate, _ in jobs.rates(seconds)) for _ in range(settings.rounds)]
    one, *more = (Timing(tuple(times), tuple(times)) for times in taken.values())
    return [
        Row(
            "jobs",
            f"{recipe.name} {precision}: {count} jobs / 1",
            one,
            several,
            "wall",
            "images/s",
            units=settings.step_batch,
        )
        for count, several in zip(JOBS, more, strict=True)
    ]


def device_rows(recipe: Recipe, images: ImageSet, settings: Settings) -> list[Row]:
    """Two processes of one thread that train one run together against one process of two threads; on a CPU of two cores
    at the least. What is said of exchanges is the share of the time in which the first process waited for one.
    """
    if not settings.on_cpu or cores() < 2:
        return []
    precision, taken, waited = precisions(settings)[-1], list[Timing](), 0.0
    for count, threads in ((1, 2), (2, 1)):
        with _Jobs(count, (recipe, images, settings, precision), threads, together=True) as jobs:
            found = [jobs.rates(_JOB_SECONDS)[0] for _ in range(settings.rounds)]
        times, waited = tuple(1 / rate for rate, _ in found), sum(share for _, share in found) / len(found)
        taken.append(Timing(times, times))
    what = f"{recipe.name} {precision} by wall: 2 processes / 2 threads, {waited:.0%} of a step in exchanges"
    one, two = taken
    return [Row("devices", what, one, two, "wall", "images/s", units=settings.step_batch)]


class _Jobs:
    """Processes that do steps of one recipe, all in the same seconds; `together`, each a part of the same steps."""

    def __init__(
        self, count: int, work: tuple[Recipe, ImageSet, Settings, str], threads: int = 1, *, together: bool = False
    ) -> None:
        context = get_context("spawn")
        self.folder = tempfile.TemporaryDirectory(prefix="sslrun-")
        self.links, self.processes = list[Connection](), list[Any]()
        for rank in range(count):
            ours, theirs = context.Pipe()
            group = Group(rank, count) if together else ALONE
            given = (theirs, threads, group, Path(self.folder.name, "meeting"), *work)
            process = context.Process(target=_job, args=given, daemon=True)
            process.start()
            theirs.close()
            self.links.append(ours)
            self.processes.append(process)

    def __enter__(self) -> "_Jobs":
        for link in self.links:
            link.recv()  # it is ready
        return self

    def __exit__(self, *_: object) -> None:
        for link in self.links:
            link.close()
        for process in self.processes:
            process.join()
        self.folder.cleanup()

    def rates(self, seconds: float) -> list[tuple[float, float]]:
        """Of each process: steps a second, and the share of the time that it waited for others."""
        for link in self.links:
            link.send(seconds)
        return [link.recv() for link in self.links]


def _job(
    link: Connection,
    threads: int,
    group: Group,
    meeting: Path,
    recipe: Recipe,
    images: ImageSet,
    settings: Settings,
    precision: str,
) -> None:
    torch.set_num_threads(threads)
    waited = [0.0]
    if group.size > 1:
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=group.rank, world_size=group.size)
        waited = _count_waits()
    steps = Steps(recipe, images, settings, precision, group)
    float(steps.end_to_end())
    link.send("ready")
    with suppress(EOFError):
        while True:
            seconds, done = link.recv(), 0
            begun, waited[0] = perf_counter(), 0.0
            while group.any(perf_counter() - begun < seconds):
                steps.end_to_end()
                synchronize(settings.device)
                done += 1
            taken = perf_counter() - begun
            link.send((done / taken, waited[0] / taken))
    if group.size > 1:
        dist.destroy_process_group()


def _count_waits() -> list[float]:
    """From now on, the seconds that this process waits in exchanges add up in what it gives."""
    waited = [0.0]

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **options: Any) -> Any:
            begun = perf_counter()
            work = call(*given, **options)
            waited[0] += perf_counter() - begun
            return SimpleNamespace(wait=timed(work.wait)) if options.get("async_op") else work

        return counted

    for name in ("all_reduce", "all_gather"):
        setattr(dist, name, timed(getattr(dist, name)))
    return waited
