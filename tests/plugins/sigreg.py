"""A method of one's own: LeJEPA (arXiv 2511.08544). Views of an image agree, and SIGReg keeps all embeddings together
an isotropic Gaussian: it claims to need no stop-gradient, no predictor and no teacher to keep from collapse.

Shapes: N images, V views, D projector outputs, S random directions, T points of integration.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from sslrun.extend import Method, MethodSection, Setup, Updater, build_method, option


class SigReg(MethodSection):
    """LeJEPA: (1 − weight) · distance of the views to their mean + weight · SIGReg."""

    kind: Literal["sigreg"] = option(description="Embeddings held to an isotropic Gaussian, without a target.")
    weight: float = option(0.05, "Weight λ of SIGReg. Our choice.", ge=0, le=1)
    directions: int = option(256, "Random directions a step. Our choice.", ge=1)
    points: int = option(17, "Points of the integral from −5 to 5.", ge=3)

    def words(self) -> str:
        return f"LeJEPA (SIGReg {self.weight:g})"


def epps_pulley(z_NS: Tensor, points: int = 17) -> Tensor:
    """N ∫ |E e^{itz} − e^{−t²/2}|² e^{−t²/2} dt of each column (S,): 0 for a standard normal sample, by trapezoids."""
    t_T = torch.linspace(-5, 5, points, dtype=z_NS.dtype, device=z_NS.device)
    angle_NST = z_NS[..., None] * t_T
    normal_T = torch.exp(-t_T.square() / 2)
    distance_ST = (angle_NST.cos().mean(dim=0) - normal_T).square() + angle_NST.sin().mean(dim=0).square()
    return len(z_NS) * torch.trapezoid(distance_ST * normal_T, t_T)


@build_method.register(SigReg)
class LeJepa(Method):
    def __init__(self, section: SigReg, setup: Setup) -> None:
        super().__init__(setup)
        self.section = section

    def loss(self, z_VND: Tensor, iteration: int) -> Tensor:
        """The directions are of the iteration alone, so that an interrupted run goes on with the same ones."""
        draw = torch.Generator().manual_seed(iteration)
        A_DS = torch.randn(z_VND.shape[-1], self.section.directions, generator=draw).to(z_VND)
        gauss = torch.stack([epps_pulley(z_ND @ (A_DS / A_DS.norm(dim=0)), self.section.points) for z_ND in z_VND])
        apart = (z_VND - z_VND.mean(dim=0)).square().mean()
        return (1 - self.section.weight) * apart + self.section.weight * gauss.mean()

    def step(self, views_NCHW: Sequence[Tensor], iteration: int, optimizers: Updater) -> Tensor:
        with self.autocast():
            z_VND = torch.stack(self.outputs(self.online, views_NCHW))
        loss = self.loss(z_VND, iteration)
        optimizers.zero_grad()
        loss.backward()
        optimizers.step(iteration, loss.detach())
        return loss.detach()
