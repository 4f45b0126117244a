"""BYOL and SimSiam: learning without contrastive pairs, and each part that may keep it from collapsing.

The step is DirectPred's (arXiv 2102.06810 and its code), in its order. See `sslrun.networks.predictors` for the rules
that set a predictor, `sslrun.networks.ema` for the target.
Shapes: N images, C channels, H×W pixels, D projector outputs.
"""

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslrun.methods.base import Method, Updater, build_method
from sslrun.methods.setup import Setup
from sslrun.networks.ema import copy_of, ema_momentum, ema_update
from sslrun.networks.predictors import Predictor, build_predictor
from sslrun.recipe import schema


def cosine_loss(p_ND: Tensor, t_ND: Tensor) -> Tensor:
    """Mean over samples of −2·cos(p, t): the squared distance of unit vectors, less its constant 2. In [−2, 2]."""
    return -2 * F.cosine_similarity(p_ND, t_ND, dim=1).mean()


def squared_loss(p_ND: Tensor, t_ND: Tensor) -> Tensor:
    """Mean over samples of |p − t|², summed over features: 2·J of the theory (arXiv 2102.06810, eq. 1)."""
    return (p_ND - t_ND).square().sum(dim=1).mean()


@build_method.register(schema.NonContrastive)
class NonContrastive(Method):
    """An online network predicts, through a predictor, what a target network says of another view.

    The target follows the online network as `ema` says, from a copy or from weights of its own. Without either
    (SimSiam), or without stop-gradient, the online network is its own target; in the latter case the gradient runs
    through both branches. Predictions and loss are always float32.
    """

    predictor: Predictor

    def __init__(self, section: schema.NonContrastive, setup: Setup) -> None:
        super().__init__(setup)
        self.symmetric, self.stop_gradient, self.steps = section.symmetric, section.stop_gradient, setup.steps
        self.loss = cosine_loss if section.loss == "cosine" else squared_loss
        self.ema: schema.Ema = schema.NoEma(kind="none")
        self.predictor = build_predictor(section.predictor, setup.projector.out_dim, setup.generator())
        if isinstance(section, schema.Byol) and section.stop_gradient:
            self.ema = section.ema
            if section.target == "independent":
                self.target = copy_of(nn.Sequential(*setup.independent()))
            elif not isinstance(section.ema, schema.NoEma):
                self.target = copy_of(self.online)

    def phase(self, iteration: int) -> Hashable:
        return None if self.predictor.captured == "never" else "one"

    def step(self, views_NCHW: Sequence[Tensor], iteration: int, optimizers: Updater) -> Tensor:
        """One iteration, in the order of the authors' code; see `Method.step`."""
        both = self.symmetric or not self.stop_gradient

        # Online outputs of the views, and what the target says of the second (and the first, if symmetric).
        with self.autocast():
            online = self.outputs(self.online, views_NCHW if both else views_NCHW[:1])
            targets = self._targets(views_NCHW, online)

        # Predict each view's target from the other view. The predictor sees its inputs before it predicts, but a
        # rule that sets W_p acts only at the end of the step: W_p lags its statistics by one iteration.
        pairs = list(zip(online, targets, strict=False))
        self.predictor.observe([z.detach() for z, _ in pairs], [t.detach() for _, t in pairs])
        loss = torch.stack([self.loss(self.predictor(z_ND), t_ND) for z_ND, t_ND in pairs]).sum()

        optimizers.zero_grad()
        loss.backward()
        optimizers.step(iteration, loss.detach())
        self.predictor.after_step(iteration)

        if self.target is not None:
            ema_update(self.target, self.online, ema_momentum(self.ema, iteration, self.steps))
        return loss.detach()

    def _targets(self, views_NCHW: Sequence[Tensor], online: Sequence[Tensor]) -> Sequence[Tensor]:
        """What the target says of the second view and, if symmetric, of the first; `online` are the online outputs."""
        if not self.stop_gradient:
            return online[::-1] if self.symmetric else online[1:]
        with torch.no_grad():
            if self.target is None and self.symmetric:
                return [z_ND.detach() for z_ND in reversed(online)]
            return self.outputs(self.target or self.online, views_NCHW[::-1] if self.symmetric else views_NCHW[1:])
