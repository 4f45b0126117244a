"""SwAV (arXiv 2006.09882): each view predicts, by its similarity to prototypes, the cluster of the image's other views.

Clusters are assigned by `sslrun.methods.assignment`. With `views.style: bss` (arXiv 2303.06088) a view has one style:
assigned view by view, clusters are equally used within each style and so can't follow it.
Shapes: N images, V views of which the first A, the full-size ones, are assigned, D projector outputs, K prototypes,
L outputs in a queue.
"""

import math
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sslrun.methods.assignment import sinkhorn
from sslrun.methods.base import Method, Updater, build_method
from sslrun.methods.setup import Setup
from sslrun.networks.predictors.base import linear_layer
from sslrun.recipe import schema


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


@build_method.register(schema.Swav)
class SwAV(Method):
    """One network and its prototypes, which are of unit length at the start of every step, as in the authors' code.

    They keep their directions for the first `freeze_prototypes` steps. The queue keeps outputs of each full-size view
    from its epoch on, the latest first; they take part in the assignment once it is full, as in the authors' code.
    """

    queue_ALD: Tensor

    def __init__(self, section: schema.Swav, setup: Setup) -> None:
        super().__init__(setup)
        self.section, dim, length = section, setup.projector.out_dim, 0
        self.prototypes = linear_layer(dim, section.prototypes, bias=False, generator=setup.generator())
        self.assigned, self.queue_from = setup.views, 0
        if section.queue is not None:
            length = section.queue.length
            full_after = math.ceil(length / setup.batch_size)
            self.queue_from = section.queue.start_epoch * setup.steps_per_epoch + full_after
        self.register_buffer("queue_ALD", torch.zeros(self.assigned, length, dim))

    def phase(self, iteration: int) -> Hashable:
        """Prototypes frozen or not; assigned with the queue or without."""
        return iteration < self.section.freeze_prototypes, iteration >= self.queue_from

    def step(self, views_NCHW: Sequence[Tensor], iteration: int, optimizers: Updater) -> Tensor:
        """One iteration, in the order of the authors' code; see `Method.step`."""
        c_KD = self.prototypes.weight
        with torch.no_grad():
            c_KD.copy_(F.normalize(c_KD, dim=1))
        if iteration < self.section.freeze_prototypes:
            c_KD = c_KD.detach()

        with self.autocast():
            z_VND = torch.stack(self.outputs(self.online, views_NCHW))
        z_VND = F.normalize(z_VND, dim=2)
        q_ANK = self._assign(z_VND[: self.assigned].detach(), iteration)
        loss = swapped_prediction(z_VND @ c_KD.T, q_ANK, self.section.temperature)

        optimizers.zero_grad()
        loss.backward()
        optimizers.step(iteration, loss.detach())
        return loss.detach()

    @torch.no_grad()
    def _assign(self, z_AND: Tensor, iteration: int) -> Tensor:
        """The clusters of a batch's outputs, (A, N, K), which then join the queue."""
        epsilon, iterations = self.section.epsilon, self.section.iterations
        with_queue_AMD = torch.cat((z_AND, self.queue_ALD), dim=1)
        s_AMK = (with_queue_AMD if iteration >= self.queue_from else z_AND) @ self.prototypes.weight.T
        if self.section.assign == "view":
            q_AMK = sinkhorn(s_AMK, epsilon, iterations)
        else:
            q_AMK = sinkhorn(s_AMK.flatten(0, 1), epsilon, iterations).view_as(s_AMK)
        self.queue_ALD.copy_(with_queue_AMD[:, : self.queue_ALD.shape[1]])
        return q_AMK[:, : z_AND.shape[1]]
