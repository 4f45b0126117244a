"""A predictor rule of one's own: DirectPred's W_p mixed with the identity. How much of the rule is needed?"""

from typing import Literal

import torch
from torch import Tensor

from sslrun.extend import CorrelationRule, PredictorSection, build_predictor, option, predictor_from_correlation


class MixedPredictor(PredictorSection):
    """W_p = mix · I + (1 − mix) · DirectPred."""

    kind: Literal["mixed"] = option(description="DirectPred mixed with the identity.")
    mix: float = option(0.5, "Weight of the identity.", ge=0, le=1)
    rho: float = option(0.3, "Weight of the past in the moving average of F.", ge=0, lt=1)


@build_predictor.register(MixedPredictor)
class Mixed(CorrelationRule):
    def __init__(self, section: MixedPredictor, dim: int, generator: torch.Generator) -> None:
        super().__init__(dim, generator, rho=section.rho, freq=1)
        self.mix = section.mix

    def compute_matrix(self) -> Tensor:
        W_DD = predictor_from_correlation(self.estimate.value)
        return self.mix * torch.eye(len(W_DD), device=W_DD.device) + (1 - self.mix) * W_DD
