"""Several processes that train or judge one run, each with its part of the work: where the parts are put together.

Every process passes its part through the encoder and the projector, under batch norm statistics of the whole batch,
and gathers the outputs; from there on all compute the same, on the whole batch, as one process would. So a run on D
devices is the same science as on one. `sslrun.jobs.processes` starts them; nothing here is needed for one.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_T = TypeVar("_T")


class Group:
    """The processes of one run; alone if there is one. `batch` is how many images the current batch has, all parts."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size, self.batch = rank, size, 0

    @property
    def leads(self) -> bool:
        """Whether this process writes for all."""
        return self.rank == 0

    def part(self, rank: int | None = None) -> slice:
        """The rows of the current batch that a process has, this one if not said: parts differ by one row at most."""
        return self._cut(self.batch, rank)

    def share(self, work: Sequence[_T], rank: int | None = None) -> Sequence[_T]:
        """The stretch of `work` that a process does, this one if not said; stretches differ by one at most."""
        return work[self._cut(len(work), rank)]

    def _cut(self, count: int, rank: int | None) -> slice:
        rank = self.rank if rank is None else rank
        return slice(rank * count // self.size, (rank + 1) * count // self.size)

    def gather(self, part_ND: Tensor) -> Tensor:
        """The rows (N, D) of all processes, in order. Backward, a process takes the gradient of its own rows: as all
        go on with the same N rows to the same loss, that is the whole gradient.
        """
        gathered: Tensor = part_ND if self.size == 1 else _Gather.apply(part_ND, self)
        return gathered

    def put_together(self, rows_MD: Tensor, counts: Sequence[int]) -> Tensor:
        """The rows (N, D) of all processes, in order, of which each has so many."""
        padded_MD = rows_MD.new_zeros(max(counts), *rows_MD.shape[1:])  # backends want tensors of one shape
        padded_MD[: len(rows_MD)] = rows_MD
        found = [torch.empty_like(padded_MD) for _ in counts]
        dist.all_gather(found, padded_MD)
        return torch.cat([rows_MD[:count] for rows_MD, count in zip(found, counts, strict=True)])

    def any(self, here: bool) -> bool:
        """Whether it is so in any process. Over the host: the device is not waited for."""
        if self.size == 1:
            return here
        asked = torch.tensor([float(here)])
        dist.all_reduce(asked, op=dist.ReduceOp.MAX, group=_host_group())
        return bool(asked.item())


ALONE = Group()

_host: list[Any] = []


def _host_group() -> Any:
    """A group for what lies on the host: gloo, beside NCCL."""
    if dist.get_backend() == "gloo":
        return None
    if not _host:
        _host.append(dist.new_group(backend="gloo"))
    return _host[0]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part_ND: Tensor, group: Group) -> Tensor:
        ctx.rows = group.part()
        parts = [group.part(rank) for rank in range(group.size)]
        return group.put_together(part_ND, [rows.stop - rows.start for rows in parts])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0][ctx.rows], None


class _AddUp(torch.autograd.Function):
    """The sum over all processes; backward too, since what each does with the sum is its part of the loss' gradient."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        whole = part.clone()
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        whole = gradients[0].clone()
        dist.all_reduce(whole)
        return whole


class WholeBatchNorm(_BatchNorm):
    """Batch norm whose statistics in training are of the rows of all processes; in evaluation torch's own.

    Two passes, mean and then variance, as for one process: the difference of sums of squares would lose digits.
    """

    def _check_input_dim(self, input: Tensor) -> None: ...

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C) or (N, C, H, W) of this process; all must call it together."""
        if not self.training:
            return super().forward(input)
        over = [axis for axis in range(input.ndim) if axis != 1]
        shape = [1, -1, *[1] * (input.ndim - 2)]
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        count = torch.full((1,), x.numel() / x.shape[1], dtype=x.dtype, device=x.device)
        sums = _AddUp.apply(torch.cat([x.sum(over), count]))
        count, mean_C = sums[-1], sums[:-1] / sums[-1].detach()
        centred = x - mean_C.view(shape)
        variance_C = _AddUp.apply(centred.square().sum(over)) / count.detach()
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
                self.running_mean.lerp_(mean_C.detach(), share)
                self.running_var.lerp_((variance_C * (count / (count - 1))).detach(), share)
        out = centred * (variance_C + self.eps).rsqrt().view(shape)
        if self.weight is not None:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        normalised: Tensor = out.to(input.dtype)
        return normalised


def over_all(network: nn.Module, group: Group) -> nn.Module:
    """`network` with its batch norms replaced by `WholeBatchNorm`s of the same parameters and buffers, in a group of
    several; by itself it is as it was. Its state dictionary keeps its names.
    """
    if group.size == 1:
        return network
    for name, module in list(network.named_children()):
        if isinstance(module, _BatchNorm):
            whole = WholeBatchNorm(module.num_features, module.eps, module.momentum, affine=False)
            whole.weight, whole.bias = module.weight, module.bias
            whole.running_mean, whole.running_var = module.running_mean, module.running_var
            whole.num_batches_tracked = module.num_batches_tracked
            setattr(network, name, whole.train(module.training))
        else:
            over_all(module, group)
    return network
