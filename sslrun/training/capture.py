"""Steps as one CUDA graph: at small sizes launching a step's kernels takes longer than the kernels, and a replay is one
launch. The step itself does not know of it: what it does is recorded once, on inputs in fixed places, and replayed.

What varies from step to step is input: images, draws (copied ahead, beside the step before), and the iteration.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from sslrun.data.batches import Upload
from sslrun.methods import Method
from sslrun.networks.iteration import Iteration
from sslrun.networks.predictors import Predictor
from sslrun.training.optimizers import Updates
from sslrun.views.per_image import Draws, fixed_shapes

WARM_UP = 3
"""Plain steps of a phase before it is captured, in which libraries choose their ways and allocate."""
MOST_PIXELS = 2**20
"""Of a view of a whole batch; with more, kernels take longer than their launches, and the shortcuts that follow from
what was drawn are worth more than a graph."""
_ALIGNED = 16  # bytes

Replay = Callable[[], Tensor]


class Graphs(Protocol):
    """Who records steps. `CudaGraphs`, or in tests one that calls them again."""

    def upload(self, packed: Tensor) -> Tensor:
        """Bytes of the host on the device, copied beside what runs there."""

    def warm(self, step: Replay) -> Tensor:
        """Do a step as it will be captured, without capturing it."""

    def capture(self, step: Replay) -> Replay:
        """Record a step, which is not carried out, to be replayed."""


class CudaGraphs:
    """torch's graphs, of one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._beside, self._upload = torch.cuda.Stream(device), Upload(device)
        self._pool: Any = None

    def upload(self, packed: Tensor) -> Tensor:
        return self._upload(packed.pin_memory())

    def warm(self, step: Replay) -> Tensor:
        main = torch.cuda.current_stream(self.device)
        self._beside.wait_stream(main)
        with torch.cuda.stream(self._beside):
            loss = step()
        main.wait_stream(self._beside)
        return loss

    def capture(self, step: Replay) -> Replay:
        graph = torch.cuda.CUDAGraph()
        # Threads that read images ahead go on allocating pinned memory meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._beside, capture_error_mode="thread_local"):
            loss = step()
        self._pool = graph.pool()

        def replay() -> Tensor:
            graph.replay()
            return loss

        return replay


class CapturedSteps:
    """The steps of one run: the first ones and an odd last batch plain, the others replayed; equal, as both do the same
    work with the same kernels.

    `make_views` and the method's step are captured; a predictor's `after_step` that can't be runs beside the graph. If
    capturing fails all steps are plain from then on, and `say` is told.
    """

    def __init__(
        self,
        make_views: Callable[[Tensor, list[Any]], list[Tensor]],
        method: Method,
        updates: Updates,
        graphs: Graphs,
        batch_size: int,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.make_views, self.method, self.updates = make_views, method, updates
        self.graphs, self.batch_size, self.say = graphs, batch_size, say
        self.replays: dict[Hashable, Replay] = {}
        self._warmed: Counter[Hashable] = Counter()
        self._images_NCHW: Tensor | None = None
        self._inputs = torch.empty(0, dtype=torch.uint8)
        self._failed = False
        updates.place_rates()

    def step(self, images_NCHW: Tensor, draws: list[Any], number: int) -> Tensor:
        """Train on images with their draws, which lie on the host. Returns the loss, on the device."""
        packed, places = pack([*tensors_of(draws), torch.tensor(number)])
        uploaded = self.graphs.upload(packed)

        def plain(images_NCHW: Tensor, inputs: Tensor) -> Tensor:
            *drawn, on_device = unpack(inputs, places)
            with fixed_shapes():
                views = self.make_views(images_NCHW, with_tensors(draws, drawn))
                return self.method.step(views, Iteration.at(number, on_device), self.updates)

        phase = self.method.phase(number)
        if self._failed or len(images_NCHW) != self.batch_size or self._warmed[phase] < WARM_UP:
            self._warmed[phase] += len(images_NCHW) == self.batch_size
            return self.graphs.warm(lambda: plain(images_NCHW, uploaded))
        if self._images_NCHW is None:
            self._images_NCHW, self._inputs = torch.empty_like(images_NCHW), torch.empty_like(uploaded)
        images, inputs = self._images_NCHW, self._inputs
        images.copy_(images_NCHW)
        inputs.copy_(uploaded)
        if phase not in self.replays:
            try:
                self.replays[phase] = self.graphs.capture(lambda: self._but_for_what_runs_beside(plain, images, inputs))
            except RuntimeError as error:
                self._failed = True
                self.updates.zero_grad()
                self.say(f"steps are not replayed as a CUDA graph: {str(error).splitlines()[0]}")
                return plain(images, inputs)
        loss = self.replays[phase]()
        if self._beside is not None:
            self._beside.after_step(number)
        return loss

    @property
    def _beside(self) -> Predictor | None:
        predictor = self.method.predictor
        return predictor if predictor is not None and predictor.captured == "beside" else None

    def _but_for_what_runs_beside(self, step: Callable[[Tensor, Tensor], Tensor], *inputs: Tensor) -> Tensor:
        """A step without the predictor's `after_step`, which nothing that follows in a step depends on."""
        predictor = self._beside
        if predictor is None:
            return step(*inputs)
        vars(predictor)["after_step"] = lambda _: None
        try:
            return step(*inputs)
        finally:
            del vars(predictor)["after_step"]


def tensors_of(draws: list[Any]) -> list[Tensor]:
    """All tensors of a batch's draws, in a fixed order."""
    found: list[Tensor] = []

    def taken(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    for one in draws:
        one.each(taken) if isinstance(one, Draws) else taken(one)
    return found


def with_tensors(draws: list[Any], tensors: Sequence[Tensor]) -> list[Any]:
    """The same draws with `tensors` in the places of theirs."""
    rest = iter(tensors)
    return [one.each(lambda _: next(rest)) if isinstance(one, Draws) else next(rest) for one in draws]


Place = tuple[int, torch.dtype, torch.Size]


def pack(tensors: Sequence[Tensor]) -> tuple[Tensor, list[Place]]:
    """Tensors of the host as bytes, one after the other, and where each begins, its type and shape."""
    places, end = list[Place](), 0
    for tensor in tensors:
        places.append((end, tensor.dtype, tensor.shape))
        end += -(-tensor.nbytes // _ALIGNED) * _ALIGNED
    packed = torch.empty(end, dtype=torch.uint8)
    for tensor, slot in zip(tensors, unpack(packed, places), strict=True):
        slot.copy_(tensor)
    return packed, places


def unpack(packed: Tensor, places: Sequence[Place]) -> list[Tensor]:
    """The tensors that were packed, as views into the bytes."""
    return [
        packed[start : start + shape.numel() * dtype.itemsize].view(dtype).view(shape) for start, dtype, shape in places
    ]


def why_not(recipe_graph: str, method: Method, updates: Updates, pixels: int, device: torch.device) -> str | None:
    """Why steps are not captured; None if they are."""
    reasons = {
        "run.graph is off": recipe_graph == "off",
        "only CUDA has graphs": device.type != "cuda",
        "several processes train together": method.group.size > 1,
        "the method or its predictor decides on the host": method.phase(0) is None,
        "weight decay changes from step to step": not updates.same_every_step,
        "its views are so large that kernels, not launches, take the time": pixels > MOST_PIXELS,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)
