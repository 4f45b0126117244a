"""BYOL and SimSiam: learning without contrastive pairs, and each part that may keep it from collapsing.

The step is DirectPred's (arXiv 2102.06810 and its code), in its order. See `sslrun.networks.predictors` for the rules
that set a predictor, `sslrun.networks.ema` for the target.
Shapes: N images, C channels, H×W pixels, D projector outputs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslrun.methods.base import Method, Updater, build_method, full_precision
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

    def step(self, views_NCHW: Sequence[Tensor], iteration: int, optimizers: Updater) -> Tensor:
        """One iteration, in the order of the authors' code; see `Method.step`."""
        x1_NCHW, x2_NCHW = views_NCHW

        # Online and target outputs. Each view passes on its own: batch norm sees one view at a time.
        with self.autocast():
            z1_ND = full_precision(self.online(x1_NCHW))
            z2_ND = full_precision(self.online(x2_NCHW)) if self.symmetric or not self.stop_gradient else None
            t2_ND = self._target(x2_NCHW, z2_ND)
            t1_ND = self._target(x1_NCHW, z1_ND) if self.symmetric else None

        # Predict each view's target from the other view. The predictor sees its inputs before it predicts, but a
        # rule that sets W_p acts only at the end of the step: W_p lags its statistics by one iteration.
        pairs = [(z1_ND, t2_ND)]
        if z2_ND is not None and t1_ND is not None:
            pairs.append((z2_ND, t1_ND))
        self.predictor.observe([z.detach() for z, _ in pairs], [t.detach() for _, t in pairs])
        loss = torch.stack([self.loss(self.predictor(z_ND), t_ND) for z_ND, t_ND in pairs]).sum()

        optimizers.zero_grad()
        loss.backward()
        optimizers.step(iteration, loss.detach())
        self.predictor.after_step(iteration)

        if self.target is not None:
            ema_update(self.target, self.online, ema_momentum(self.ema, iteration, self.steps))
        return loss.detach()

    def _target(self, x_NCHW: Tensor, z_ND: Tensor | None) -> Tensor:
        """What the target says of a view whose online output (if it was computed) is `z_ND`."""
        if not self.stop_gradient and z_ND is not None:
            return z_ND
        with torch.no_grad():
            if self.target is None and z_ND is not None:
                return z_ND.detach()
            return full_precision((self.target or self.online)(x_NCHW))
