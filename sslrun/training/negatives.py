"""How hard the negatives of a run are, recorded every epoch where the images have domains: do styles make them so?

The same few images in every epoch, in the same crops and colours, once with their own styles and once under BSS, seen
by the one encoder under the batch norm of training: what differs between the two is the style's doing, what differs
between epoch 0 and the last is training's. A batch is a grid of N images (rows) and V views (columns); the negatives of
an anchor are all views of the other images, whatever the method does with them. D projector outputs.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from sslrun.data.images import ImageSet
from sslrun.methods import Method
from sslrun.networks.statistics import normalized_std
from sslrun.recipe.schema import BatchStyle, NoStyle, Recipe
from sslrun.seeds import stream_seed
from sslrun.training.diagnostics import spread
from sslrun.views.pipeline import Views

MOST_IMAGES = 256  # whatever the batch size, which must not change what is compared


class Negatives:
    """Measures a recipe's method on at most 256 of the `images`, spread evenly over the set, which have domains.

    Views are drawn anew for each epoch from a stream of their own, so that nothing else draws differently.
    """

    def __init__(self, recipe: Recipe, images: ImageSet, device: torch.device) -> None:
        index = spread(len(images), MOST_IMAGES)
        self.images_NCHW = images.images[index].to(device)
        self.domains_N = torch.full_like(index, -1) if images.domains is None else images.domains[index]
        self.seed = stream_seed(recipe.seed, "hardness")
        full_size = recipe.views.model_copy(update={"small": None})
        style = recipe.views.style
        bss = style if isinstance(style, BatchStyle) else BatchStyle(kind="bss")
        self.own = "hardness_bss" if style is bss else "hardness_none"
        sections = {
            "hardness_none": full_size.model_copy(update={"style": NoStyle(kind="none")}),
            "hardness_bss": full_size.model_copy(update={"style": bss}),
        }
        _, channels, stored, _ = self.images_NCHW.shape
        self.views = {name: Views(section, channels=channels, stored=stored) for name, section in sections.items()}

    def __call__(self, method: Method, epoch: int) -> dict[str, float]:
        """`hardness_none.*` and `hardness_bss.*`, with the `style_gap` of each, NaN where there is one domain.

        And `std_within`: the spread of normalised outputs within a column of the views with the run's style, or without
        one (about 1 when spread, 0 when collapsed), to which a column's style adds nothing.
        """
        found: dict[str, float] = {}
        for name, views in self.views.items():
            draws = views.draw(len(self.images_NCHW), self.seed, epoch)
            columns_VND = as_in_training(method, views(self.images_NCHW, draws)).cpu()
            measured = hardness(columns_VND, method.temperature_of_negatives)._asdict()
            measured["style_gap"] = style_gap(columns_VND, self.domains_N)
            found |= {f"{name}.{key}": float(value) for key, value in measured.items()}
            if name == self.own:
                within = [float(normalized_std(z_ND)) for z_ND in columns_VND]
                found["std_within"] = sum(within) / len(within)
        return found


@torch.no_grad()
def as_in_training(method: Method, views_NCHW: Sequence[Tensor]) -> Tensor:
    """The online network's outputs (V, N, D) for views, as the loss sees them: batch norms have the statistics of what
    passes through, each view apart or all together. Changes nothing in `method`.

    In evaluation mode what a column has in common, its style under BSS, would count as similarity even of untrained
    outputs.
    """
    was_training = method.training
    method.eval()
    with batch_statistics(method):
        z_VND = torch.stack(method.outputs(method.online, views_NCHW))
    method.train(was_training)
    return z_VND


@contextmanager
def batch_statistics(method: Method) -> Iterator[None]:
    """Let batch norms use the statistics of what passes through them, as in training, even in evaluation mode; their
    running ones rest.
    """
    norms = [module for module in method.modules() if isinstance(module, _BatchNorm)]
    kept = [(norm.running_mean, norm.running_var) for norm in norms]
    try:
        for norm in norms:
            norm.running_mean = norm.running_var = None
        yield
    finally:
        for norm, (mean, variance) in zip(norms, kept, strict=True):
            norm.running_mean, norm.running_var = mean, variance


class Hardness(NamedTuple):
    """Cosine similarities of anchors and their negatives, averaged over all anchors; scalars."""

    own_column: Tensor
    """Mean over the negatives in the anchor's column: the same view of other images."""
    other_columns: Tensor
    """Mean over the negatives in the other columns."""
    percentile_95: Tensor
    """An anchor's 95th percentile, interpolated linearly."""
    largest: Tensor
    """An anchor's largest."""
    negative_mass: Tensor
    """1 − p⁺: the softmax's part that all negatives take from a positive, averaged over the pairs."""


def hardness(z_VND: Tensor, temperature: float) -> Hardness:
    """The hardness of the negatives of V ≥ 2 views of N ≥ 2 images.

    With s a similarity over `temperature`, p⁺ = e^{s⁺} / (e^{s⁺} + Σ e^{s}), the sum over the anchor's negatives.
    """
    columns = [_column(z_VND, view, temperature) for view in range(len(z_VND))]
    return Hardness(*torch.stack(columns).mean(dim=0))


def style_gap(z_VND: Tensor, domains_N: Tensor) -> Tensor:
    """Mean similarity of negatives of the anchor's domain, less that of the others; 0 where domains don't matter.

    Over all columns. Images without a domain (−1) are left out. NaN where one of the two sorts is missing.
    """
    unit_VND = F.normalize(z_VND[:, domains_N >= 0].double(), dim=2)
    domains_N = domains_N[domains_N >= 0]
    # Sums over columns first: the mean over columns of both sides is the similarity of the mean outputs.
    mean_ND = unit_VND.mean(dim=0)
    s_NN = mean_ND @ mean_ND.T
    same_NN = domains_N[:, None] == domains_N
    apart_NN = ~torch.eye(len(domains_N), dtype=torch.bool, device=s_NN.device)
    return s_NN[same_NN & apart_NN].mean() - s_NN[~same_NN].mean()


def _column(z_VND: Tensor, view: int, temperature: float) -> Tensor:
    """`Hardness` of the anchors of one view, as a vector of its numbers."""
    unit_VND = F.normalize(z_VND.double(), dim=2)
    views, n, _ = unit_VND.shape
    s_NNV = torch.einsum("nd,vmd->nmv", unit_VND[view], unit_VND)
    apart_NN = ~torch.eye(n, dtype=torch.bool, device=s_NNV.device)
    negative_NMV = s_NNV[apart_NN].view(n, n - 1, views)
    others = [other for other in range(views) if other != view]
    against_N1 = (negative_NMV / temperature).flatten(1).logsumexp(dim=1, keepdim=True)
    positive_NV = s_NNV.diagonal().T[:, others] / temperature
    found = Hardness(
        own_column=negative_NMV[..., view].mean(),
        other_columns=negative_NMV[..., others].mean(),
        percentile_95=negative_NMV.flatten(1).quantile(0.95, dim=1).mean(),
        largest=negative_NMV.amax(dim=(1, 2)).mean(),
        negative_mass=(against_N1 - positive_NV).sigmoid().mean(),
    )
    return torch.stack(found)
