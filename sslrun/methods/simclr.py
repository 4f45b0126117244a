"""SimCLR (arXiv 2002.05709) for any number of views: agree with the other views of an image, differ from other images.

With `views.style: bss` (arXiv 2303.06088) each view, a column of the N × V grid of rows and views, has one style: a
negative in the anchor's column shares its style, one in the positive's column the positive's, so that style never
favours the positive. Shapes: N images, V views, D projector outputs.
"""

from collections.abc import Hashable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from sslrun.methods.base import Method, Updater, build_method
from sslrun.methods.setup import Setup
from sslrun.recipe import schema

Negatives = Literal["all", "anchor_view", "positive_view"]


def nt_xent(z_VND: Tensor, temperature: float, negatives: Negatives = "all") -> Tensor:
    """The NT-Xent loss of V ≥ 2 views, averaged over all N·V·(V − 1) pairs of an anchor and a positive.

    For anchor (i, v) and positive (i, v'), −log of the positive's share e^{s⁺} / (e^{s⁺} + Σ_j≠i Σ_u e^{s}) with
    s = cosine / temperature; u runs over all views, the anchor's v, or the positive's v'. For two views and all
    negatives it is SimCLR's loss. The form for more views is ours; the BSS paper's is not known to us.
    """
    views, n, _ = z_VND.shape
    z_VND = F.normalize(z_VND, dim=-1)
    s_VVNN = torch.einsum("vnd,umd->vunm", z_VND, z_VND) / temperature
    positive_VVN = s_VVNN.diagonal(dim1=2, dim2=3)
    itself_NN = torch.eye(n, dtype=torch.bool, device=z_VND.device)
    negative_VVN = s_VVNN.masked_fill(itself_NN, -torch.inf).logsumexp(dim=3)  # of an anchor in one other column
    if negatives == "all":
        negative_VVN = negative_VVN.logsumexp(dim=1, keepdim=True).expand(-1, views, -1)
    elif negatives == "anchor_view":
        negative_VVN = negative_VVN.diagonal().T[:, None].expand(-1, views, -1)
    loss_VVN = torch.logaddexp(positive_VVN, negative_VVN) - positive_VVN
    apart_VV = ~torch.eye(views, dtype=torch.bool, device=z_VND.device)
    return (loss_VVN * apart_VV[..., None]).sum() / (n * views * (views - 1))


@build_method.register(schema.SimClr)
class SimCLR(Method):
    """One network, no target; the loss is `nt_xent` of the projector's outputs of all views."""

    def __init__(self, section: schema.SimClr, setup: Setup) -> None:
        super().__init__(setup)
        self.section, self.temperature_of_negatives = section, section.temperature

    def phase(self, iteration: int) -> Hashable:
        return "one"

    def step(self, views_NCHW: Sequence[Tensor], iteration: int, optimizers: Updater) -> Tensor:
        """One iteration; see `Method.step`."""
        with self.autocast():
            z_VND = torch.stack(self.outputs(self.online, views_NCHW))
        loss = nt_xent(z_VND, self.section.temperature, self.section.negatives)

        optimizers.zero_grad()
        loss.backward()
        optimizers.step(iteration, loss.detach())
        return loss.detach()
