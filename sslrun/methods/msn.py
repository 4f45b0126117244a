"""MSN (arXiv 2204.07141): a masked view of an image matches the prototypes that another, unmasked view matches.

The first view is the target's; all others are anchors, and of those as large as it a transformer sees only some of
the patches. With `views.style: bss` (arXiv 2303.06088) each view has one style, applied before the masks.
The transformer is `sslrun.networks.vit`, Sinkhorn-Knopp `sslrun.methods.assignment`.
Shapes: N images, A anchors, D projector outputs, K prototypes, P patches of which M are kept.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslrun.methods.assignment import sinkhorn
from sslrun.methods.base import Method, Updater, build_method
from sslrun.methods.setup import Setup
from sslrun.networks.ema import copy_of, ema_update
from sslrun.networks.predictors.base import linear_layer
from sslrun.networks.vit import ViT
from sslrun.recipe import schema
from sslrun.seeds import stream_seed
from sslrun.views.per_image import on_device

_SINKHORN_ITERATIONS = 3  # as in the authors' code


def log_predictions(z_ND: Tensor, prototypes_KD: Tensor, temperature: float) -> Tensor:
    """log p (..., K): the logarithm of softmax(cosine to each prototype / τ) (arXiv 2204.07141, section 3)."""
    cosine_NK = F.normalize(z_ND, dim=-1) @ F.normalize(prototypes_KD, dim=-1).T
    return F.log_softmax(cosine_NK / temperature, dim=-1)


@torch.no_grad()
def sharpened(log_p_NK: Tensor, temperature: float, balanced: bool) -> Tensor:
    """The targets p⁺ (N, K): p^(1/T), renormalised; then, if `balanced`, three iterations of Sinkhorn-Knopp.

    The paper has no Sinkhorn-Knopp; the authors' code applies it to the sharpened probabilities themselves, which is
    to scores log p⁺ with ε = 1. Whether the BSS paper does is not known to us.
    """
    log_q_NK = F.log_softmax(log_p_NK / temperature, dim=-1)
    return sinkhorn(log_q_NK, 1.0, _SINKHORN_ITERATIONS) if balanced else log_q_NK.exp()


def cross_entropy(q_NK: Tensor, log_p_ANK: Tensor) -> Tensor:
    """H(p⁺, p) = −Σ_k p⁺ log p, averaged over all anchors of all images (arXiv 2204.07141, section 3)."""
    return -(q_NK * log_p_ANK).sum(dim=-1).mean()


def mean_entropy(log_p_ANK: Tensor) -> Tensor:
    """H(p̄), the entropy in nats of the mean prediction of all anchors."""
    mean_K = log_p_ANK.exp().flatten(end_dim=-2).mean(dim=0)
    return -(mean_K * mean_K.clamp(min=torch.finfo(mean_K.dtype).tiny).log()).sum()


def kept_patches(n: int, patches: int, drop: float, seed: int) -> Tensor:
    """Which patches each of `n` images keeps: (N, M) indices on the host, ⌊(1 − drop)·P⌋ but at least one.

    Each image has a subset of its own, uniform over all; the authors' code draws one for the whole batch.
    """
    kept = max(1, int(patches * (1 - drop) + 1e-9))
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, patches, generator=generator).argsort(dim=1)[:, :kept]


@build_method.register(schema.Msn)
class MSN(Method):
    """An online network sees the anchors, its moving average the target view; prototypes compare the two.

    The network's optimiser trains the prototypes with the network, through the anchors alone; only their directions
    matter. The loss is mean H(p⁺, p) − λ·H(p̄). The average's momentum rises linearly from `momentum` to 1 over the
    whole training (over 1.25 times as many steps in the authors' code).
    """

    target: nn.Sequential

    def __init__(self, section: schema.Msn, setup: Setup) -> None:
        super().__init__(setup)
        self.section, self.steps, self.seed = section, setup.steps, setup.seed  # the seed is for the masks
        self.target = copy_of(self.online)
        dim = setup.projector.out_dim
        self.prototypes = linear_layer(dim, section.prototypes, bias=False, generator=setup.generator())
        self.patches = cast(ViT, setup.encoder).grid ** 2  # of a full-size view; the section takes no other encoder

    def step(self, views_NCHW: Sequence[Tensor], iteration: int, optimizers: Updater) -> Tensor:
        """One iteration, in the order of the authors' code; see `Method.step`."""
        options, (first_NCHW, *anchors_NCHW) = self.section, views_NCHW

        # Small views keep all patches, as in the authors' code: they are parts of the image already.
        with self.autocast():
            features = [
                self._anchor(x_NCHW, view, iteration, masked=x_NCHW.shape == first_NCHW.shape)
                for view, x_NCHW in enumerate(anchors_NCHW, start=1)
            ]
            z_AND = torch.stack(self.projections(self.online[1], features))
            with torch.no_grad():
                (t_ND,) = self.outputs(self.target, [first_NCHW])
        c_KD = self.prototypes.weight
        log_p_ANK = log_predictions(z_AND, c_KD, options.temperature)
        log_t_NK = log_predictions(t_ND, c_KD, options.temperature)
        q_NK = sharpened(log_t_NK, options.sharpening, options.sinkhorn)
        loss = cross_entropy(q_NK, log_p_ANK) - options.entropy_weight * mean_entropy(log_p_ANK)

        optimizers.zero_grad()
        loss.backward()
        optimizers.step(iteration, loss.detach())

        momentum = options.momentum + (1 - options.momentum) * iteration / self.steps
        ema_update(self.target, self.online, momentum)
        return loss.detach()

    def _anchor(self, x_NCHW: Tensor, view: int, iteration: int, *, masked: bool) -> Tensor:
        """The encoder's features of an anchor; what a mask keeps is drawn for each view and iteration."""
        keep_NM = None
        if masked:
            seed = stream_seed(self.seed, "mask", iteration, view)
            count, part = (self.group.batch, self.group.part()) if self.group.size > 1 else (len(x_NCHW), slice(None))
            keep_NM = on_device(kept_patches(count, self.patches, self.section.drop, seed)[part], x_NCHW.device)
        h_NF: Tensor = self.encoder(x_NCHW, keep_NM)
        return h_NF
