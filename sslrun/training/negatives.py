"""How hard the negatives of a run are, recorded every epoch where the images have domains: do styles separate them?

The same few images in every epoch, seen in two ways: as the run's own views, under the batch norm of training, which
is how the loss sees them; and as plain geometric ones, which runs with other views share, under that of evaluation.
`sslrun.methods.similarities` has the formulas.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from sslrun.data.images import ImageSet
from sslrun.methods import Method
from sslrun.methods.similarities import hardness, style_gap
from sslrun.networks.statistics import normalized_std
from sslrun.recipe import schema
from sslrun.recipe.schema import NoStyle, Recipe
from sslrun.seeds import stream_seed
from sslrun.training.diagnostics import outputs, spread
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
        sections = {"hardness_own": full_size, "hardness_plain": geometric(recipe.views)}
        _, channels, stored, _ = self.images_NCHW.shape
        self.views = {name: Views(section, channels=channels, stored=stored) for name, section in sections.items()}

    def __call__(self, method: Method, epoch: int) -> dict[str, float]:
        """`hardness_own.*` of the run's full-size views, `hardness_plain.*` of two plain ones; `style_gap` of both.

        And `std_within`: the spread of normalised outputs within a column of the own views (about 1 when
        spread, 0 when collapsed), to which a column's style adds nothing. A gap is NaN where there is one domain.
        """
        # In evaluation mode what a column has in common, its style with `bss`, would count as similarity even of
        # untrained outputs; in training batch norm takes it out of each column.
        with batch_statistics(method):
            z_VND = {"hardness_own": self._outputs(method, "hardness_own", epoch)}
        z_VND["hardness_plain"] = self._outputs(method, "hardness_plain", epoch)
        found: dict[str, float] = {}
        for name, columns_VND in z_VND.items():
            measured = hardness(columns_VND, method.temperature_of_negatives)._asdict()
            measured["style_gap"] = style_gap(columns_VND, self.domains_N)
            found |= {f"{name}.{key}": float(value) for key, value in measured.items()}
        within = [float(normalized_std(z_ND)) for z_ND in z_VND["hardness_own"]]
        return found | {"std_within": sum(within) / len(within)}

    def _outputs(self, method: Method, name: str, epoch: int) -> Tensor:
        views = self.views[name]
        draws = views.draw(len(self.images_NCHW), self.seed, epoch)
        return torch.stack([outputs(method, x_NCHW).cpu() for x_NCHW in views(self.images_NCHW, draws)])


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


def geometric(views: schema.Views) -> schema.Views:
    """Two views of the recipe's geometry and normalisation alone."""
    off = {"small": None, "jitter": None, "greyscale": 0.0, "blur": None, "solarize": None}
    return views.model_copy(update={"count": 2, "style": NoStyle(kind="none"), **off})
