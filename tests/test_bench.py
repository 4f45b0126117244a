"""The bench in its smallest form: who takes turns with whom, what a report holds, and that nothing is judged wrongly.

No timing is asserted: what is fast is for `sslrun bench` to say, on a quiet machine.
"""

import json
import math
import re
import threading
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from sslrun import bench
from sslrun.bench import limits
from sslrun.bench.images import STYLE_BARS, largest_error, recipe_images
from sslrun.bench.images import stand_ins as with_labels
from sslrun.bench.reference import BareLoop, as_pil_arrays
from sslrun.bench.rows import Row
from sslrun.bench.timing import Settings, Stopwatch, Timing, alternate, one_thread
from sslrun.cli import app
from sslrun.data import open_dataset
from sslrun.errors import InputError
from sslrun.methods import build_encoder, build_method, set_up
from sslrun.methods.noncontrastive import NonContrastive
from sslrun.recipe import read_recipe, schema
from sslrun.views.style import standardize

TINY = Settings(torch.device("cpu"), rounds=2, batch=8, step_batch=8, least=0.0)
NARROW = ("network.backbone.width=8", "network.projector.hidden=16", "network.projector.out=8")


def stand_ins(n: int, channels: int, side: int) -> torch.Tensor:
    return with_labels(n, channels, side)[0]


def row(reference: float, ours: float, **options: object) -> Row:
    def seconds(value: float) -> Timing:
        return Timing((value, value * 3, value * 2), (value, value, value))

    settled: dict[str, object] = {"clock": "cpu", "unit": "images/s", "units": 10} | options
    return Row("step", "a / b", seconds(reference), seconds(ours), **settled)  # type: ignore[arg-type]  # options vary


def test_contenders_take_turns_and_the_order_turns_round() -> None:
    calls: list[str] = []
    contenders = [lambda name=name: calls.append(name) for name in "abc"]
    taken = alternate(contenders, Settings(torch.device("cpu"), rounds=4, least=0.0))
    assert "".join(calls) == "abc" + "abc" + "cba" + "abc" + "cba"  # the first three warm up
    assert [(len(timing.cpu), len(timing.wall)) for timing in taken] == 3 * [(4, 4)]


def test_short_work_is_repeated_within_a_round() -> None:
    calls: list[float] = []
    settings = Settings(torch.device("cpu"), rounds=1, least=0.05)
    (nap,) = alternate([lambda: (calls.append(time.perf_counter()), time.sleep(0.01))], settings)
    assert len(calls) >= 4  # the first call, two to gauge, and at least one that counts
    assert nap.wall[0] >= 0.01 > nap.cpu[0]


def test_stopwatch_counts_only_what_runs_within() -> None:
    watch = Stopwatch(torch.device("cpu"))
    for _ in range(2):
        with watch.running():
            time.sleep(0.01)
        time.sleep(0.05)
    assert 0.01 <= watch.take(2)[1] < 0.04
    assert watch.take(1) == (0.0, 0.0)


def test_one_thread_is_given_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(InputError), one_thread():
        assert torch.get_num_threads() == 1
        raise InputError("on the way")
    assert torch.get_num_threads() == before


def test_ratios_shares_and_bars() -> None:
    faster = row(2.0, 1.0, bar=1.5)
    assert faster.ratio == 2.0
    assert faster.amount(faster.ours) == 10 / 2.0  # the median of 1, 3 and 2 seconds
    assert not faster.below_the_bar
    assert row(2.0, 1.0, bar=2.5).below_the_bar
    assert not row(2.0, 1.0).below_the_bar
    assert not row(1.0, 0.001, share=True, bar=0.003).below_the_bar
    assert row(1.0, 0.01, share=True, bar=0.003).below_the_bar
    assert row(2.0, 1.0, bar=1.0, error=1e-3, error_bar=1e-5).below_the_bar


def test_a_table_says_so_where_a_bar_is_missed() -> None:
    header, cells = bench.table([row(2.0, 1.0, bar=2.5), row(2.0, 1.0, bar=1.5)])
    assert all(len(line) == len(header) for line in cells)
    assert "misses the bar" in cells[0]
    assert "misses the bar" not in cells[1]
    _, ((*_, too_much),) = bench.table([row(1.0, 0.01, share=True, bar=0.003)])
    assert too_much == "misses the bar"


def test_stand_ins_are_images() -> None:
    images_NCHW = stand_ins(6, 3, 24)
    assert images_NCHW.dtype == torch.uint8
    assert images_NCHW.shape == (6, 3, 24, 24)
    x = images_NCHW.float()
    neighbours = (x[..., 1:] - x[..., :-1]).abs().mean()
    assert 10 < x.std() < 100
    assert neighbours < (x - x.flip(0)).abs().mean() / 2  # smooth, and no two alike


def test_a_recipe_has_its_own_images_where_they_are_there(tmp_path: Path) -> None:
    digits, own = recipe_images(open_dataset(schema.Digits(kind="digits", size=16), tmp_path), 8, own=True)
    assert own and len(digits) == 1400
    folder = schema.Folder(kind="folder", path="none", store=16)
    for wanted in (True, False):
        images, own = recipe_images(open_dataset(folder, tmp_path), 8, own=wanted)
        assert not own and images.images.shape[1:] == (3, 16, 16)
    with pytest.raises(InputError, match="no images"):
        recipe_images(open_dataset(schema.Gaussian(kind="gaussian", count=10, dim=2), tmp_path), 8, own=True)


def test_pictures_go_to_pil_unchanged() -> None:
    for channels in (1, 3):
        images_NCHW = stand_ins(2, channels, 8)
        picture = Image.fromarray(as_pil_arrays(images_NCHW)[1])
        pixel = picture.getpixel((5, 2))  # x, then y
        assert (pixel if isinstance(pixel, tuple) else (pixel,)) == tuple(images_NCHW[1, :, 2, 5].tolist())


def test_the_bare_loop_trains_copies_and_follows_them() -> None:
    recipe = read_recipe("imagenette_directpred", [*NARROW, "views.size=16", "training.precision=float32"])
    method = build_method(recipe.method, set_up(recipe, build_encoder(recipe, 3), 3, 10, torch.device("cpu")))
    assert isinstance(method, NonContrastive)
    before = [p.detach().clone() for p in method.parameters()]
    loop = BareLoop(recipe, method, stand_ins(16, 3, 20), 8)
    start = [p.detach().clone() for p in loop.target.parameters()]
    losses = [loop.step() for _ in range(2)]
    assert all(-4 <= loss <= 4 and math.isfinite(loss) for loss in losses)
    assert all(torch.equal(p, q) for p, q in zip(method.parameters(), before, strict=True))
    assert not torch.equal(next(loop.online.parameters()), start[0])
    assert not torch.equal(next(loop.target.parameters()), start[0])
    assert torch.allclose(next(loop.target.parameters()), start[0], atol=1e-2)


@pytest.mark.parametrize("ratio", [0.02, 1.0])
def test_the_error_is_measured_over_all_images(ratio: float) -> None:
    x_NCHW = torch.rand(40, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    styled_NCHW = standardize(x_NCHW, ratio, 0)
    assert largest_error(x_NCHW, styled_NCHW, ratio) <= 3e-5
    styled_NCHW[37, 1, 2, 3] += 0.25
    assert largest_error(x_NCHW, styled_NCHW, ratio) == pytest.approx(0.25, abs=1e-4)


def test_all_rows_of_one_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "cores", lambda: 1)
    recipe = read_recipe("quickstart", NARROW)
    one = bench.subject(recipe, open_dataset(recipe.data, Path()), TINY)
    assert one.own
    groups = list(bench.measure(list(bench.KINDS), TINY, one))
    step, views, style, rule, parts, limit, graph, jobs, devices = groups
    assert [group[0].kind for group in groups if group] == [*bench.KINDS][:-3]
    assert graph == jobs == devices == []  # on a CPU of one core
    assert [part.what.split(": ")[1] for part in parts] == ["optimiser", "target's average", "BSS's default"]
    assert all("matrix rate" in part.what for part in limit)
    assert {part.what.split(" / ")[1] for part in step} == {"step alone", "bare PIL loop"}
    assert len(views) == len(rule) == 1
    assert len(style) == len(STYLE_BARS)
    assert all(part.error is not None and part.error >= 0 for part in style)
    assert 0 < rule[0].ratio < 1
    assert all(part.bar is None for group in groups for part in group)  # bars are for full-size work
    for part in (part for group in groups for part in group):
        assert len(part.ours.cpu) == len(part.reference.wall) == TINY.rounds
        assert all(seconds > 0 for seconds in (*part.ours.wall, *part.reference.wall))


def test_jobs_at_once_do_their_steps_in_the_same_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    class Threads:
        """In place of processes, which take long to start."""

        Process = threading.Thread

        @staticmethod
        def Pipe() -> tuple[Connection, SimpleNamespace]:
            ours, theirs = Pipe()
            return ours, SimpleNamespace(send=theirs.send, recv=theirs.recv, close=lambda: None)

    monkeypatch.setattr(limits, "get_context", lambda _: Threads)
    monkeypatch.setattr(limits, "JOBS", (2,))
    recipe = read_recipe("quickstart", NARROW)
    images = bench.subject(recipe, open_dataset(recipe.data, Path()), TINY).images
    (two,) = limits.jobs_at_once(recipe, images, TINY, 0.05)
    assert two.what.endswith("2 jobs / 1") and len(two.ours.wall) == TINY.rounds
    assert all(seconds > 0 for seconds in (*two.ours.wall, *two.reference.wall))


def test_two_processes_do_steps_together_and_say_how_long_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_JOB_SECONDS", 0.05)
    monkeypatch.setattr(limits, "cores", lambda: 2)
    recipe = read_recipe("quickstart", NARROW)
    images = bench.subject(recipe, open_dataset(recipe.data, Path()), TINY).images
    (row,) = limits.device_rows(recipe, images, TINY)
    share = re.search(r"2 processes / 2 threads, (\d+)% of a step in exchanges$", row.what)
    assert share and 0 < int(share[1]) <= 100
    assert len(row.ours.wall) == TINY.rounds and all(seconds > 0 for seconds in (*row.ours.wall, *row.reference.wall))


def test_a_steps_products_are_counted_and_set_against_one_of_matrices() -> None:
    recipe = read_recipe("quickstart", NARROW)
    subject = bench.subject(recipe, open_dataset(recipe.data, Path()), TINY)
    product, operations = limits._product(TINY.device, "float32")
    with FlopCounterMode(display=False) as counter:
        product()
    assert counter.get_total_flops() == operations
    (first, *_) = limits.limit_rows(recipe, subject.images, TINY)
    assert 0 < first.ratio < 1 and first.units == TINY.step_batch and first.bar is None


def test_simsiam_is_measured_without_the_bare_byol_loop() -> None:
    recipe = read_recipe("quickstart", [*NARROW, "method={kind: simsiam, predictor: {kind: linear}}"])
    one = bench.subject(recipe, open_dataset(recipe.data, Path()), TINY)
    (rows,) = bench.measure(["step"], TINY, one)
    assert all("step alone" in part.what for part in rows)


def test_styled_views_are_measured_against_pictures_in_the_textbook_style() -> None:
    recipe = read_recipe("quickstart", [*NARROW, "views.style.kind=bss", "views.colours=batch_wise_after"])
    steps, views = bench.measure(
        ["step", "views"], TINY, bench.subject(recipe, open_dataset(recipe.data, Path()), TINY)
    )
    assert all("step alone" in part.what for part in steps)  # the bare loop has no batch to take a style from
    assert len(views) == 1 and views[0].reference.wall[0] > 0


def test_shipped_views_have_their_bars() -> None:
    (rows,) = bench.measure(["views"], Settings(torch.device("cpu"), rounds=1, batch=2, step_batch=2, least=0.0))
    assert [part.bar for part in rows] == [3.3, 4.5, 2.0, 1.5]


def test_the_command_prints_json_and_keeps_it(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    options = ["--only", "views,rule", "--rounds", "1", "--batch", "8", "--json", "--out", str(out), "--device", "cpu"]
    changes = [part for change in NARROW for part in ("--set", change)]
    result = CliRunner().invoke(app, ["bench", "quickstart", *options, *changes])
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    assert report == json.loads(out.read_text())
    assert [part["kind"] for part in report["rows"]] == ["views", "rule"]
    assert report["rounds"] == 1 and report["step_batch"] == 8
    assert "host" not in report["machine"]
    assert report["machine"]["torch"] and report["machine"]["cpu"]
    share = report["rows"][1]["share"]["cpu"]
    assert share["min"] <= share["median"] <= share["max"]


def test_the_command_refuses_what_it_does_not_know() -> None:
    result = CliRunner().invoke(app, ["bench", "--only", "speed"])
    assert isinstance(result.exception, InputError)
    assert "step, views, style, rule" in str(result.exception)
