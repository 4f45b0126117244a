"""Seeded batches of images on the device, from memory or streamed from the cache: the same bits either way.

The order of epoch e is the permutation of the stream ("order", e), so a resumed run needs no saved sampler.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import torch
from torch import Tensor

from sslrun.data.images import ImageSet
from sslrun.data.suiting import steps_per_epoch
from sslrun.limits import free_bytes
from sslrun.seeds import stream_seed

AHEAD = 3  # batches that wait while one is used


class Batches:
    """Batches of `images`, epoch by epoch. Raises `InputError` as `steps_per_epoch` does.

    Resident (`stream=False`): all images move to the device once and are gathered there. Streamed: a thread copies
    the coming batches from the memory map, into pinned memory for CUDA. Each process of a run has the whole set: the
    order is random over all of it, so any image may come to any of them, and a share of its own would be other science.
    But of a streamed batch it may read what it needs alone: of `n` images at an iteration the rows `wanted(n,
    iteration)`; what the others hold is nobody's to look at.
    """

    def __init__(
        self,
        images: ImageSet,
        *,
        batch_size: int,
        seed: int,
        last_batch: Literal["drop", "keep"],
        device: torch.device,
        stream: bool,
        wanted: Callable[[int, int], Iterable[int]] = lambda n, _: range(n),
    ) -> None:
        count = len(images)
        self.batch_size, self.seed, self.device, self.stream = batch_size, seed, device, stream
        self.steps_per_epoch = steps_per_epoch(count, batch_size, last_batch)
        self._count, self._wanted = count, wanted
        self._images = images.images if stream else images.images.to(device)

    def order(self, epoch: int) -> Tensor:
        """The permutation (N,) of the images in `epoch`, int64 on the CPU."""
        generator = torch.Generator().manual_seed(stream_seed(self.seed, "order", epoch))
        return torch.randperm(self._count, generator=generator)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Tensor]:
        """The epoch's batches from `first_step` on: uint8 (n, C, H, W), or float32 vectors (n, D), on the device.

        What goes wrong while reading ahead is raised here; closing the iterator early ends the thread.
        """
        order = self.order(epoch)
        return self._streamed(order, epoch, first_step) if self.stream else self._resident(order, first_step)

    def _resident(self, order: Tensor, first_step: int) -> Iterator[Tensor]:
        order = _to(order.pin_memory() if self.device.type == "cuda" else order, self.device)
        for step in range(first_step, self.steps_per_epoch):
            yield self._images.index_select(0, self._at(order, step))

    def _streamed(self, order: Tensor, epoch: int, first_step: int) -> Iterator[Tensor]:
        steps = iter(range(first_step, self.steps_per_epoch))
        waiting: deque[Future[Tensor]] = deque()
        upload = Upload(self.device)
        with ThreadPoolExecutor(1, thread_name_prefix="sslrun-batches") as reader:
            try:
                for step in steps:
                    iteration = epoch * self.steps_per_epoch + step
                    waiting.append(reader.submit(self._gather, self._at(order, step), iteration))
                    if len(waiting) > AHEAD:
                        yield upload(waiting.popleft().result())
                while waiting:
                    yield upload(waiting.popleft().result())
            finally:
                for future in waiting:
                    future.cancel()

    def _at(self, order: Tensor, step: int) -> Tensor:
        return order[step * self.batch_size : (step + 1) * self.batch_size]

    def _gather(self, index: Tensor, iteration: int) -> Tensor:
        """Those images at `index` that are wanted, in host memory, read in the order of the file, laid in the order of
        the batch."""
        # Pinned blocks come from torch's host allocator, which gives one out again only after its copy is done.
        batch = torch.empty(
            (len(index), *self._images.shape[1:]), dtype=self._images.dtype, pin_memory=self.device.type == "cuda"
        )
        # NumPy copies without holding Python's lock and, unlike torch, without waking its thread pool.
        target, source = batch.numpy(), self._images.numpy()
        images = index.tolist()
        for image, place in sorted((images[place], place) for place in self._wanted(len(images), iteration)):
            target[place] = source[image]
        return batch


class Upload:
    """Copies host memory to a device; to CUDA beside the work that is under way there, for the work that comes."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, tensor: Tensor) -> Tensor:
        """The tensor on the device."""
        if self._copies is None:
            return _to(tensor, self.device)
        main = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self._copies):
            copied = _to(tensor.pin_memory() if tensor.device.type == "cpu" else tensor, self.device)
        main.wait_stream(self._copies)
        copied.record_stream(main)
        return copied


def _to(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.to(device, non_blocking=True)


def choose_stream(wish: Literal["auto", "always", "never"], images: ImageSet, device: torch.device) -> bool:
    """Whether to stream: as the recipe wishes; `auto` if the images would take over half of the free memory."""
    if wish != "auto":
        return wish == "always"
    return images.images.nbytes > free_bytes(device) / 2
