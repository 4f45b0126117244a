"""Gradients of the parts of a batch, added up over all processes beside the backward pass: a bucket of them at a time,
as soon as they are there. `group` says how the work is cut into parts.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sslrun.networks.group import Group

BUCKET_BYTES = 8 * 2**20
"""A bucket is full with so much: several are under way in one backward pass, and each is worth its latency."""


class Exchange:
    """Adds up the gradients of `parameters` over the processes of a group, in each step's backward pass and `finish`.

    Backward reaches the same parameters in the same order in every process, so all exchange the same buckets in turn.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], group: Group) -> None:
        self._buckets: list[list[nn.Parameter]] = []
        self._sent: dict[int, tuple[list[Tensor], Tensor, Any]] = {}
        size = BUCKET_BYTES
        for parameter in reversed(list(parameters)) if group.size > 1 else ():  # about the order in which backward goes
            if not parameter.requires_grad:
                continue
            if size >= BUCKET_BYTES:
                self._buckets.append([])
                size = 0
            self._buckets[-1].append(parameter)
            size += parameter.nbytes
            parameter.register_post_accumulate_grad_hook(partial(self._there, len(self._buckets) - 1))
        self._missing = [len(bucket) for bucket in self._buckets]

    def _there(self, number: int, _: Tensor) -> None:
        self._missing[number] -= 1
        if self._missing[number] == 0:
            self._send(number)

    def _send(self, number: int) -> None:
        gradients = [weight.grad for weight in self._buckets[number] if weight.grad is not None]
        if gradients:
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            self._sent[number] = gradients, flat, dist.all_reduce(flat, async_op=True)

    def finish(self) -> None:
        """After backward: replace each gradient by its sum. On CUDA the host does not wait."""
        for number, missing in enumerate(self._missing):
            if missing:  # some had no gradient in this step
                self._send(number)
            self._missing[number] = len(self._buckets[number])
        for gradients, flat, exchange in self._sent.values():
            exchange.wait()
            for gradient, summed in zip(gradients, flat.split([one.numel() for one in gradients]), strict=True):
                gradient.copy_(summed.view_as(gradient))
        self._sent.clear()
