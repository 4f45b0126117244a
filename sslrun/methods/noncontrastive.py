"""BYOL and SimSiam: learning without contrastive pairs, and each part that may keep it from collapsing.

The step is DirectPred's (arXiv 2102.06810 and its code), in its order. It needs only modules: see
`sslrun.networks.predictors` for the rules that set a predictor, `sslrun.networks.ema` for the target.
Shapes: N images, C channels, H×W pixels, D projector outputs.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslrun.methods.base import Method, Updater, full_precision
from sslrun.networks.ema import copy_of, ema_update
from sslrun.networks.predictors import Predictor

Loss = Callable[[Tensor, Tensor], Tensor]


def cosine_loss(p_ND: Tensor, t_ND: Tensor) -> Tensor:
    """Mean over samples of −2·cos(p, t): the squared distance of unit vectors, less its constant 2. In [−2, 2]."""
    return -2 * F.cosine_similarity(p_ND, t_ND, dim=1).mean()


def squared_loss(p_ND: Tensor, t_ND: Tensor) -> Tensor:
    """Mean over samples of |p − t|², summed over features: 2·J of the theory (arXiv 2102.06810, eq. 1)."""
    return (p_ND - t_ND).square().sum(dim=1).mean()


class NonContrastive(Method):
    """An online network predicts, through a predictor, what a target network says of another view.

    `target` is an (encoder, projector) pair that starts the target network; None copies the online one.
    `momentum` gives the EMA's weight of the old target at an iteration; None means the online network is its own
    target (SimSiam). `stop_gradient=False` makes it so as well, and lets the gradient run through both branches.
    `autocast` opens the mixed-precision context of the two networks; predictions and loss are always float32.
    """

    predictor: Predictor

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module,
        predictor: Predictor,
        *,
        loss: Loss = cosine_loss,
        symmetric: bool = True,
        stop_gradient: bool = True,
        momentum: Callable[[int], float] | None = None,
        target: tuple[nn.Module, nn.Module] | None = None,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        super().__init__(encoder, projector)
        self.predictor = predictor
        self.loss, self.symmetric, self.stop_gradient = loss, symmetric, stop_gradient
        self.momentum, self.autocast = momentum, autocast
        if stop_gradient and (momentum is not None or target is not None):
            self.target = copy_of(nn.Sequential(*target) if target is not None else self.online)

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
            ema_update(self.target, self.online, self.momentum(iteration) if self.momentum else 0.0)
        return loss.detach()

    def _target(self, x_NCHW: Tensor, z_ND: Tensor | None) -> Tensor:
        """What the target says of a view whose online output (if it was computed) is `z_ND`."""
        if not self.stop_gradient and z_ND is not None:
            return z_ND
        with torch.no_grad():
            if self.target is None and z_ND is not None:
                return z_ND.detach()
            return full_precision((self.target or self.online)(x_NCHW))
