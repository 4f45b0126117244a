"""CUDA without a GPU: tensors that have shape, type and device but no numbers, on which a step can be walked.

Whatever would have the host read one of them, or wait for the device, raises `HostRead`; tensors of two devices in one
operation raise too. `counted_reads` counts the reads of a step that computes, on the CPU.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensor, FakeTensorMode
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CUDA, META = torch.device("cuda:0"), torch.device("meta")
aten = torch.ops.aten
READS = {
    aten._local_scalar_dense.default,
    aten.equal.default,
    aten.is_nonzero.default,
    aten.masked_select.default,
    aten.nonzero.default,
    aten.repeat_interleave.Tensor,
    aten._unique2.default,
}
"""Operations whose result, or whose shape, the host must know."""


class HostRead(AssertionError):
    """The host has read what is on the device, or waited for it."""


class _Host(TorchDispatchMode):
    """Runs for real what has nothing to do with the device, and refuses what would wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.walking = self.captured = False
        self.pinned: list[Tensor] = []

    @contextmanager
    def replaying(self) -> Iterator[None]:
        self.captured = True
        yield
        self.captured = False

    def pin(self, tensor: Tensor) -> Tensor:
        self.pinned.append(tensor)
        return tensor

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        if func is torch.ops.prim.device.default:
            return META  # what autograd's engine asks: of CUDA it would want streams
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        options = dict(kwargs or {})
        if self.walking and options.get("device") == META:
            options["device"] = CUDA  # of a tensor that the engine makes
        if func is aten._pin_memory.default:
            return self.pin(args[0])
        device = torch.device(options.get("device") or "cpu")
        if any(isinstance(tensor, FakeTensor) and tensor.device == CUDA for tensor in tensors):
            if func in READS or (func is aten._to_copy.default and options.get("device") and device.type == "cpu"):
                raise HostRead(str(func))
            if func.overloadpacket in (aten._fused_sgd_, aten._fused_adamw_):  # which torch can't walk
                assert {tensor.device for tensor in tensors} == {CUDA}
                return None
            return func(*args, **options)
        if device.type != "cuda":
            with unset_fake_temporarily():
                return func(*args, **(options | ({"pin_memory": False} if "pin_memory" in options else {})))
        if self.captured and tensors:
            raise HostRead(f"{func}: a replay would copy what lay on the host when the step was captured")
        if self.walking and tensors and not any(tensors[0] is tensor for tensor in self.pinned):
            raise HostRead(f"{func}: a copy from memory that is not pinned waits for the device")
        return func(*args, **options)


@contextmanager
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Host]:
    """Within, tensors on `cuda` are fakes. Set `walking` on what it gives when modules are in their places."""
    given, host = torch.empty, _Host()

    def empty(*size: Any, pin_memory: bool = False, **options: Any) -> Tensor:
        made = given(*size, **options)
        return host.pin(made) if pin_memory else made

    class Stream:
        def __init__(self, *_: Any) -> None: ...

        def wait_stream(self, other: "Stream") -> None: ...

    monkeypatch.setattr(torch, "empty", empty)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda *_: None)
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    with ExitStack() as within:
        within.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwrite)
        within.callback(monkeypatch.undo)
        within.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        within.enter_context(host)
        within.enter_context(torch.autograd.set_multithreading_enabled(False))
        yield host


class CountedReads(TorchDispatchMode):
    """Counts the operations within that make the host read a tensor: `found` has their names."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        if func in READS:
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


class Operations(TorchDispatchMode):
    """Lists the operations within: of tensors the shapes, of all else the value, as a graph would keep it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        leaves = tree_leaves((args, kwargs))
        if func.namespace == "aten":
            self.found.append(f"{func} {[leaf.shape if isinstance(leaf, Tensor) else leaf for leaf in leaves]}")
        return func(*args, **(kwargs or {}))


class CalledAgain:
    """Graphs without a GPU: what is captured is called again at every replay, on the inputs that are there by then.

    `calls` tells what was asked for, in order; a replay is done within `around()`. With a `host`, on fake CUDA tensors.
    """

    def __init__(
        self, host: _Host | None = None, around: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> None:
        self.calls: list[str] = []
        self.host, self.around = host, around if host is None else host.replaying

    def upload(self, packed: Tensor) -> Tensor:
        return packed.clone() if self.host is None else packed.pin_memory().to(CUDA, non_blocking=True)

    def warm(self, step: Callable[[], Tensor]) -> Tensor:
        self.calls.append("plain")
        return step()

    def capture(self, step: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.calls.append("capture")

        def replay() -> Tensor:
            self.calls.append("replay")
            with self.around():
                return step()

        return replay
