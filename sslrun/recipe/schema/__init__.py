"""The recipe, one section a file, in reading order: data, views, network, predictor, method, optimizer, training,
evaluation, run. The descriptions of the fields are the manual; `sslrun schema` prints them as JSON Schema.
"""

from typing import Any, Self

from pydantic import field_validator, model_validator

from sslrun.recipe.plugins import PluginName, digests, named
from sslrun.recipe.schema.base import Misfit, Section, option
from sslrun.recipe.schema.data import (
    Camelyon17,
    Cifar,
    Data,
    Digits,
    DigitsStyles,
    DomainFolders,
    DomainNet,
    DomainSection,
    Folder,
    Gaussian,
    Pacs,
    Stl10,
)
from sslrun.recipe.schema.evaluation import Analyses, AuthorsProbe, Evaluation, Knn, LinearProbe, Udg
from sslrun.recipe.schema.method import (
    Byol,
    ConstantEma,
    CosineEma,
    Ema,
    Method,
    Msn,
    NoEma,
    NonContrastive,
    SimClr,
    SimSiam,
    Swav,
    SwavQueue,
)
from sslrun.recipe.schema.network import Backbone, Network, Projector
from sslrun.recipe.schema.optimizer import Optimizer, Optimizers, Schedule
from sslrun.recipe.schema.predictor import (
    DiagonalPredictor,
    DirectCopyPredictor,
    DirectPredictor,
    DirectSetPredictor,
    LinearPredictor,
    MinimalSpacePredictor,
    MlpPredictor,
    NoPredictor,
    OffsetPredictor,
    PartitionPredictor,
    Predictor,
    SolvePredictor,
    SymmetricNormPredictor,
    SymmetricPredictor,
    SymmetricRowNormPredictor,
)
from sslrun.recipe.schema.run import Run
from sslrun.recipe.schema.style import BatchStyle, FourierStyle, NoStyle, Style
from sslrun.recipe.schema.training import Collapse, Training
from sslrun.recipe.schema.views import Blur, Crop, Jitter, Normalize, SmallViews, Solarize, Views

__all__ = [
    "Analyses",
    "AuthorsProbe",
    "Backbone",
    "BatchStyle",
    "Blur",
    "Byol",
    "Camelyon17",
    "Cifar",
    "Collapse",
    "ConstantEma",
    "CosineEma",
    "Crop",
    "Data",
    "DiagonalPredictor",
    "Digits",
    "DigitsStyles",
    "DirectCopyPredictor",
    "DirectPredictor",
    "DirectSetPredictor",
    "DomainFolders",
    "DomainNet",
    "DomainSection",
    "Ema",
    "Evaluation",
    "Folder",
    "FourierStyle",
    "Gaussian",
    "Jitter",
    "Knn",
    "LinearPredictor",
    "LinearProbe",
    "Method",
    "MinimalSpacePredictor",
    "MlpPredictor",
    "Msn",
    "Network",
    "NoEma",
    "NoPredictor",
    "NoStyle",
    "NonContrastive",
    "Normalize",
    "OffsetPredictor",
    "Optimizer",
    "Optimizers",
    "Pacs",
    "PartitionPredictor",
    "Predictor",
    "Projector",
    "Recipe",
    "Run",
    "Schedule",
    "SimClr",
    "SimSiam",
    "SmallViews",
    "Solarize",
    "SolvePredictor",
    "Stl10",
    "Style",
    "Swav",
    "SwavQueue",
    "SymmetricNormPredictor",
    "SymmetricPredictor",
    "SymmetricRowNormPredictor",
    "Training",
    "Udg",
    "Views",
]


class Recipe(Section):
    """Everything that a run is. Read one with `sslrun.recipe.read_recipe`."""

    name: str = option(
        description="What folders and tables call it; the file's name if left out.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        operational=True,
    )
    imports: tuple[PluginName, ...] = option(
        (),
        "Plug-ins that bring kinds of their own: entry points of the group `sslrun`, or modules beside the recipe, in "
        "the current folder or installed. Their source is part of the identity.",
    )
    seed: int = option(0, "Seeds the streams: initialisation, order, views, style, probe.", ge=0, le=2**31 - 1)
    data: Data = option(description="The images.")
    views: Views = option(Views(), "The views.")
    network: Network = option(Network(), "Encoder and projector.")
    method: Method = option(description="The objective.")
    optimizer: Optimizers = option(Optimizers(), "The optimisers.")
    training: Training = option(Training(), "The loop.")
    evaluation: Evaluation = option(Evaluation(), "The judges.")
    run: Run = option(Run(), "The machine.")

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """A recipe that another process hands over brings its plug-ins along."""
        super().__setstate__(state)
        digests(self.imports)

    @field_validator("imports")
    @classmethod
    def _sorted(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """Each once, sorted, since the order says nothing."""
        return tuple(sorted(set(names)))

    @model_validator(mode="after")
    def _sections_fit_together(self) -> Self:
        for section in self.walk():
            if not named(type(section), self.imports):
                what = f"{type(section).__name__} is of the plug-in {type(section).__module__}: name that in `imports`"
                raise Misfit(what, "imports")
            section.needs(self)
        return self
