"""Steps replayed as a graph: with one that calls again what it captured, they are the plain ones, bit for bit.

On fake CUDA tensors a captured step copies nothing from the host, and its operations are the same whatever is drawn.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from fake_cuda import CalledAgain, Operations, fake_cuda
from test_on_a_gpu import CPU, CUDA, IMAGES, METHODS, PREDICTORS, STYLES, VECTORS, trainer
from torch import Tensor

from sslrun.methods.base import Method
from sslrun.training import capture, pretrain
from sslrun.training.capture import pack, tensors_of, unpack, why_not, with_tensors
from sslrun.training.optimizers import Updates
from sslrun.training.pretrain import Trainer

ODD = ["training={epochs: 4, batch_size: 10, last_batch: keep}"]  # 10, 10, 4
CAPTURED = {name: [*IMAGES, *changes] for name, changes in METHODS.items() if name != "msn"}


def train(made: Trainer, steps: int) -> tuple[list[float], list[Tensor]]:
    """The losses of the first steps, and all that the method then is."""
    batches = (batch for epoch in range(steps) for batch in made.batches.epoch(epoch))
    losses = [float(made.step(batch, step)) for step, batch in zip(range(steps), batches, strict=False)]
    states = [*made.method.state_dict().values(), *(s for o in made.updates.optimizers for s in o.state.values())]
    return losses, [state for state in states if isinstance(state, Tensor)]


def equal(changes: Sequence[str], calls: str, *, exactly: bool = True) -> None:
    graphs = CalledAgain()
    losses, states = train(trainer(CPU, changes, graphs=graphs), 8)
    expected, expected_states = train(trainer(CPU, changes), 8)
    close = {"rtol": 0, "atol": 0 if exactly else 2e-6}
    torch.testing.assert_close(torch.tensor(losses), torch.tensor(expected), **close)
    for ours, theirs in zip(states, expected_states, strict=True):
        torch.testing.assert_close(ours, theirs, **close)
    assert "".join(call[0] for call in graphs.calls) == calls


@pytest.mark.parametrize("predictor", [one for one in PREDICTORS if "partition" not in one])
def test_replayed_steps_equal_plain_ones(predictor: str) -> None:
    equal([*VECTORS, *ODD, f"method.predictor={predictor}"], "ppppcrprr")


@pytest.mark.parametrize("method", CAPTURED)
def test_replayed_steps_of_every_method_equal_plain_ones(method: str) -> None:
    # SwAV's first step is of another phase; the cosine's momentum is read on the device, by another rounding.
    calls = "pppppcrrr" if method == "swav" else "ppppcrprr"
    odd = ["training.epochs=4"] if method == "swav" else ODD  # whose queue is filled by whole batches
    equal([*CAPTURED[method], *odd], calls, exactly=method != "byol")


def test_a_captured_step_leaves_numbers_where_it_took_tensors() -> None:
    """They are what is saved, and what a plain step takes."""
    made = trainer(CPU, [*VECTORS, *ODD, "optimizer.network.kind=adamw"], graphs=CalledAgain())
    train(made, 8)
    groups = [group for optimizer in made.updates.optimizers for group in optimizer.param_groups]
    assert groups and all(type(group["lr"]) is float and not group["capturable"] for group in groups)


def test_steps_are_replayed_as_they_are_in_every_phase() -> None:
    changes = [*CAPTURED["swav"], "training.epochs=6", "method.freeze_prototypes=5", "method.queue=null"]
    graphs = CalledAgain()
    made = trainer(CPU, changes, graphs=graphs)
    train(made, 10)
    assert "".join(call[0] for call in graphs.calls) == "pppcrr" + "pppcrr"
    assert set(made.captured.replays) == {(True, True), (False, True)}  # type: ignore[union-attr]


@pytest.mark.filterwarnings("ignore:CUDA is not available:UserWarning")
@pytest.mark.parametrize(
    "changes",
    [
        *([*VECTORS, f"method.predictor={predictor}"] for predictor in ("{kind: directpred}", "{kind: minimal_space}")),
        *([*CAPTURED["byol"], f"views.style={style}"] for style in STYLES[1:3]),
        CAPTURED["swav"],
        CAPTURED["simclr"],
    ],
)
def test_a_captured_step_takes_nothing_from_the_host(monkeypatch: pytest.MonkeyPatch, changes: list[str]) -> None:
    monkeypatch.setattr(capture, "WARM_UP", 0)
    with fake_cuda(monkeypatch) as host:
        graphs = CalledAgain(host)
        made = trainer(CUDA, changes, graphs=graphs)
        host.walking = True
        made.step(next(made.batches.epoch(0)), 0)
    assert graphs.calls == ["capture", "replay"]


@pytest.mark.parametrize("style", STYLES)
def test_a_captured_step_does_the_same_whatever_is_drawn(monkeypatch: pytest.MonkeyPatch, style: str) -> None:
    replays: list[Operations] = []

    def around() -> Operations:
        replays.append(Operations())
        return replays[-1]

    monkeypatch.setattr(capture, "WARM_UP", 0)
    made = trainer(CPU, [*CAPTURED["byol"], f"views.style={style}"], graphs=CalledAgain(around=around))
    train(made, 3)
    first, second, third = (operations.found for operations in replays)
    assert len(first) > 100 and first == second == third


def test_a_number_of_the_host_in_a_captured_step_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    made, plain = (trainer(CPU, [*VECTORS, *ODD], graphs=graphs) for graphs in (CalledAgain(), None))
    for one in (made, plain):
        given: Callable[..., Any] = one.updates.step

        def scaled(iteration: int, loss: Tensor, given: Callable[..., Any] = given, one: Trainer = one) -> None:
            for parameter in one.method.parameters():
                if parameter.grad is not None:
                    parameter.grad *= float(1 + int(iteration))
            given(iteration, loss)

        monkeypatch.setattr(one.updates, "step", scaled)
    assert train(made, 8)[0] != train(plain, 8)[0]


def test_if_capturing_fails_steps_are_plain_and_somebody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: CalledAgain, step: object) -> object:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(CalledAgain, "capture", refuse)
    made, said = trainer(CPU, [*VECTORS, *ODD], graphs=CalledAgain()), list[str]()
    monkeypatch.setattr(made.captured, "say", said.append)
    assert train(made, 8)[0] == train(trainer(CPU, [*VECTORS, *ODD]), 8)[0]
    assert said == ["steps are not replayed as a CUDA graph: operation not permitted when stream is capturing"]


@pytest.mark.parametrize(
    ("changes", "graph", "pixels", "reason"),
    [
        ([], "auto", 100, None),
        ([], "off", 100, "off"),
        ([], "auto", 2**21, "large"),
        (["method.predictor={kind: partition}"], "auto", 100, "decides on the host"),
        (["optimizer.network.weight_decay_end=0.1"], "auto", 100, "weight decay"),
    ],
)
def test_what_is_not_captured_and_why(changes: list[str], graph: str, pixels: int, reason: str | None) -> None:
    made = trainer(CPU, [*VECTORS, *changes])
    found = why_not(graph, made.method, made.updates, pixels, CUDA)
    assert found is None if reason is None else reason in (found or "")
    assert "CUDA" in (why_not("auto", made.method, made.updates, 100, CPU) or "") and made.captured is None


@pytest.mark.parametrize(
    ("changes", "pixels"), [(VECTORS, 8), (IMAGES, 8 * 12 * 12), ([*IMAGES, "views.size=10"], 8 * 10 * 10)]
)
def test_whether_to_capture_is_asked_of_the_size_of_a_batch(
    changes: list[str], pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def no(graph: str, method: Method, updates: Updates, pixels: int, device: torch.device) -> str:
        asked.append(pixels)
        return "no"

    monkeypatch.setattr(pretrain, "why_not", no)
    trainer(CPU, changes)
    assert asked == [pixels]


def test_draws_are_packed_and_put_back() -> None:
    made = trainer(CPU, [*IMAGES, "views.style={kind: fa}"])
    draws = made.views.for_device(made.views.draw(5, 0, 0))
    tensors = tensors_of(draws)
    packed, places = pack(tensors)
    again = tensors_of(with_tensors(draws, unpack(packed, places)))
    assert len(again) == len(tensors) > 10
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(again, tensors, strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("method", CAPTURED)
def test_on_cuda_replayed_steps_equal_plain_ones_and_do_not_wait(method: str) -> None:
    odd = ["training.epochs=4"] if method == "swav" else ODD
    changes = [*CAPTURED[method], *odd]
    expected, states = train(trainer(CUDA, changes), 8)
    made = trainer(CUDA, changes, graphs=capture.CudaGraphs(CUDA))
    losses, found = train(made, 8)
    assert made.captured is not None and made.captured.replays
    torch.testing.assert_close(torch.tensor(losses), torch.tensor(expected), rtol=1e-3, atol=1e-3)
    for ours, theirs in zip(found, states, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-3)
    batch = next(made.batches.epoch(0))
    torch.cuda.set_sync_debug_mode("error")
    try:
        made.step(batch, 8)
    finally:
        torch.cuda.set_sync_debug_mode("default")
