"""SwAV (arXiv 2006.09882): each view predicts, by its similarity to prototypes, the cluster of the image's other views.

Clusters are assigned by `sslrun.methods.assignment`. With `views.style: bss` (arXiv 2303.06088) a view has one style:
assigned view by view, clusters are equally used within each style and so can't follow it.
Shapes: N images, V views of which the first A, the full-size ones, are assigned, D projector outputs, K prototypes,
L outputs in a queue.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslrun.methods.assignment import sinkhorn
from sslrun.methods.base import Method, Updater, full_precision


class Assignment(NamedTuple):
    """How clusters are assigned: `sinkhorn`'s numbers, and whether to each view alone or to all assigned together."""

    epsilon: float
    iterations: int
    scope: Literal["view", "joint"]


def swapped_prediction(s_VNK: Tensor, q_ANK: Tensor, temperature: float) -> Tensor:
    """Mean cross-entropy of every assigned view's clusters q and softmax(s / temperature) of every other view.

    `s_VNK` are similarities to the prototypes of all views, of which the first A are assigned; small views predict
    but are not predicted. The loss of the authors' code: the mean over A, over the V − 1 others, and over images.
    """
    assigned, n = q_ANK.shape[:2]
    log_p_VNK = (s_VNK / temperature).log_softmax(dim=2)
    entropy_AV = -torch.einsum("ank,vnk->av", q_ANK, log_p_VNK) / n
    others_AV = 1 - torch.eye(assigned, len(s_VNK), dtype=s_VNK.dtype, device=s_VNK.device)
    return (entropy_AV * others_AV).sum() / others_AV.sum()


class SwAV(Method):
    """One network and its prototypes, which are of unit length at the start of every step, as in the authors' code.

    They keep their directions for the first `freeze_prototypes` steps. `queue` keeps so many outputs of each assigned
    view, the latest first; they take part in the assignment from step `queue_from` on, which must not come before the
    queue is full.
    """

    queue_ALD: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module,
        prototypes: nn.Linear,
        *,
        assigned: int,
        assignment: Assignment,
        temperature: float,
        freeze_prototypes: int = 0,
        queue: int = 0,
        queue_from: int = 0,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        super().__init__(encoder, projector)
        self.prototypes, self.freeze_prototypes = prototypes, freeze_prototypes
        self.assigned, self.assignment, self.temperature = assigned, assignment, temperature
        self.queue_from, self.autocast = queue_from, autocast
        self.register_buffer("queue_ALD", torch.zeros(assigned, queue, prototypes.in_features))

    def network_parameters(self) -> Iterator[nn.Parameter]:
        """The network's and the prototypes."""
        yield from self.online.parameters()
        yield from self.prototypes.parameters()

    def step(self, views_NCHW: Sequence[Tensor], iteration: int, optimizers: Updater) -> Tensor:
        """One iteration, in the order of the authors' code; see `Method.step`."""
        c_KD = self.prototypes.weight
        with torch.no_grad():
            c_KD.copy_(F.normalize(c_KD, dim=1))
        if iteration < self.freeze_prototypes:
            c_KD = c_KD.detach()

        with self.autocast():
            z_VND = torch.stack([full_precision(self.online(x_NCHW)) for x_NCHW in views_NCHW])
        z_VND = F.normalize(z_VND, dim=2)
        q_ANK = self._assign(z_VND[: self.assigned].detach(), iteration)
        loss = swapped_prediction(z_VND @ c_KD.T, q_ANK, self.temperature)

        optimizers.zero_grad()
        loss.backward()
        optimizers.step(iteration, loss.detach())
        return loss.detach()

    @torch.no_grad()
    def _assign(self, z_AND: Tensor, iteration: int) -> Tensor:
        """The clusters of a batch's outputs, (A, N, K), which then join the queue."""
        epsilon, iterations, scope = self.assignment
        with_queue_AMD = torch.cat((z_AND, self.queue_ALD), dim=1)
        s_AMK = (with_queue_AMD if iteration >= self.queue_from else z_AND) @ self.prototypes.weight.T
        if scope == "view":
            q_AMK = sinkhorn(s_AMK, epsilon, iterations)
        else:
            q_AMK = sinkhorn(s_AMK.flatten(0, 1), epsilon, iterations).view_as(s_AMK)
        self.queue_ALD.copy_(with_queue_AMD[:, : self.queue_ALD.shape[1]])
        return q_AMK[:, : z_AND.shape[1]]
