"""Predictors trained by gradient: one linear layer, or two with batch norm and ReLU (BYOL's and SimSiam's); plain,
or put back under a constraint after every optimiser step, in place.

The constraints are from the authors' code of arXiv 2102.06810 (the paper's Tables 3 and 5 use the symmetric ones).
There, a matrix is added to its own transpose in place, which older PyTorch got silently wrong and newer refuses; here
it is done as meant. Initial weights come from the caller's generator. Shapes: D projector outputs, H hidden units.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sslrun.networks.predictors.base import Captured, Predictor, RandomStream, build_predictor, linear_layer
from sslrun.recipe.schema import predictor as schema

_RESTARTED = {"all": slice(None), "first": slice(0, 1), "last": slice(1, None)}


class Restarts(nn.Module):
    """Linear layers drawn anew, as in the authors' code: weights Xavier-uniform, biases 0.

    Due before iterations 0, every, 2·every, ...; restarts by the epoch are restarts by its number of steps.
    """

    def __init__(self, every: int, layers: slice, generator: torch.Generator) -> None:
        super().__init__()
        self.every, self.layers = every, layers
        self.stream = RandomStream(generator)

    @torch.no_grad()
    def redraw(self, linears: list[nn.Linear]) -> None:
        """Overwrite the chosen ones of `linears`."""
        for linear in linears[self.layers]:
            bound = (6 / (linear.in_features + linear.out_features)) ** 0.5
            drawn = torch.empty(linear.weight.shape).uniform_(-bound, bound, generator=self.stream.generator)
            linear.weight.copy_(drawn)
            if linear.bias is not None:
                linear.bias.zero_()


class TrainedPredictor(Predictor):
    """Layers that the optimiser trains, and what is done to them after each of its steps; nothing is observed.

    `project` puts the weights of the linear layers back under a constraint (`waits`: making the host wait), then
    `decay` takes its fraction off them (the authors' code forgets it where there is no constraint). Restarted layers
    are treated likewise.
    """

    def __init__(
        self,
        section: schema.Trained,
        layers: nn.Sequential,
        generator: torch.Generator,
        project: Callable[..., None] | None = None,
        *,
        waits: bool = False,
    ) -> None:
        super().__init__()
        self.layers, self.project, self.decay, self.waits = layers, project, section.decay, waits
        self.restarts: Restarts | None = None
        if section.restart_every is not None:
            which = section.restart_layers if isinstance(section, schema.TwoLayers) else "all"
            self.restarts = Restarts(section.restart_every, _RESTARTED[which], generator)
        self._restart_before(0)

    @property
    def captured(self) -> Captured:
        """All, but for restarts, which are drawn on the host, and constraints that make it wait."""
        return "beside" if self.restarts is not None or self.waits else "whole"

    @property
    def linears(self) -> list[nn.Linear]:
        """The linear layers, in order."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(self, z_ND: Tensor) -> Tensor:
        """The layers, one after the other."""
        p_ND: Tensor = self.layers(z_ND)
        return p_ND

    def after_step(self, iteration: int) -> None:
        """Project and decay; then restart if the next iteration is to begin with new weights."""
        self._treat()
        self._restart_before(iteration + 1)

    def _restart_before(self, iteration: int) -> None:
        if self.restarts is not None and iteration % self.restarts.every == 0:
            self.restarts.redraw(self.linears)
            self._treat()

    @torch.no_grad()
    def _treat(self) -> None:
        weights = [linear.weight for linear in self.linears]
        if self.project is not None:
            self.project(*weights)
        if self.decay:
            for weight in weights:
                weight.mul_(1 - self.decay)

    @property
    def matrix_DD(self) -> Tensor | None:
        """The weight of the one linear layer, detached; None if there are two."""
        linears = self.linears
        return linears[0].weight.detach() if len(linears) == 1 else None


def one_layer(bias: bool, dim: int, generator: torch.Generator) -> nn.Sequential:
    """Linear D→D."""
    return nn.Sequential(linear_layer(dim, dim, bias, generator))


def two_layers(section: schema.TwoLayers, bias: bool, dim: int, generator: torch.Generator) -> nn.Sequential:
    """Linear D→hidden, BatchNorm1d, ReLU, Linear hidden→D."""
    return nn.Sequential(
        linear_layer(dim, section.hidden, bias, generator),
        nn.BatchNorm1d(section.hidden, affine=section.affine),
        nn.ReLU(inplace=True),
        linear_layer(section.hidden, dim, bias, generator),
    )


@build_predictor.register
def build_linear(section: schema.LinearPredictor, dim: int, generator: torch.Generator) -> Predictor:
    """One layer."""
    return TrainedPredictor(section, one_layer(section.bias, dim, generator), generator)


@build_predictor.register
def build_mlp(section: schema.MlpPredictor, dim: int, generator: torch.Generator) -> Predictor:
    """Two layers."""
    return TrainedPredictor(section, two_layers(section, section.bias, dim, generator), generator)


def symmetric(W_DD: Tensor) -> None:
    """W ← (W + Wᵀ) / 2."""
    W_DD.copy_((W_DD + W_DD.T) / 2)


def symmetric_norm(W_DD: Tensor) -> None:
    """`symmetric`, then divided by the largest eigenvalue if that exceeds 0.01 in magnitude.

    As in the code it is the largest with its sign: were all eigenvalues negative, W would change sign.
    """
    symmetric(W_DD)
    # MPS has no eigensolver.
    largest = torch.linalg.eigvalsh(W_DD.cpu() if W_DD.device.type == "mps" else W_DD)[-1].to(W_DD)
    W_DD.div_(torch.where(largest.abs() > 1e-2, largest, 1.0))


def diagonal(W_DD: Tensor) -> None:
    """Everything off the diagonal ← 0."""
    W_DD.copy_(torch.diag(W_DD.diagonal()))


def tied(W1_HD: Tensor, W2_DH: Tensor) -> None:
    """Two layers: W1 ← A and W2 ← Aᵀ, A = (W1 + W2ᵀ) / 2."""
    A_HD = (W1_HD + W2_DH.T) / 2
    W1_HD.copy_(A_HD)
    W2_DH.copy_(A_HD.T)


def tied_row_norm(W1_HD: Tensor, W2_DH: Tensor) -> None:
    """`tied`, with each row of A scaled to unit norm."""
    tied(W1_HD, W2_DH)
    W1_HD.div_(W1_HD.norm(dim=1, keepdim=True).clamp(min=torch.finfo(W1_HD.dtype).tiny))
    W2_DH.copy_(W1_HD.T)


@build_predictor.register
def build_symmetric(section: schema.SymmetricPredictor, dim: int, generator: torch.Generator) -> Predictor:
    """One layer kept symmetric, or two kept tied."""
    if section.layers == 1:
        return TrainedPredictor(section, one_layer(section.bias, dim, generator), generator, symmetric)
    return TrainedPredictor(section, two_layers(section, section.bias, dim, generator), generator, tied)


@build_predictor.register
def build_symmetric_norm(section: schema.SymmetricNormPredictor, dim: int, generator: torch.Generator) -> Predictor:
    """One layer kept symmetric and of unit spectral norm."""
    return TrainedPredictor(section, one_layer(section.bias, dim, generator), generator, symmetric_norm, waits=True)


@build_predictor.register
def build_row_norm(section: schema.SymmetricRowNormPredictor, dim: int, generator: torch.Generator) -> Predictor:
    """Two tied layers with rows of unit norm."""
    return TrainedPredictor(section, two_layers(section, section.bias, dim, generator), generator, tied_row_norm)


@build_predictor.register
def build_diagonal(section: schema.DiagonalPredictor, dim: int, generator: torch.Generator) -> Predictor:
    """One layer kept diagonal."""
    return TrainedPredictor(section, one_layer(section.bias, dim, generator), generator, diagonal)
