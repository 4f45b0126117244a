"""The recipe, one section a file, in reading order: data, views, network, predictor, method, optimizer, training,
evaluation, run. The descriptions of the fields are the manual; `sslrun schema` prints them as JSON Schema.
"""

from typing import Self

from pydantic import model_validator

from sslrun.recipe.schema.analyses import Analyses
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
from sslrun.recipe.schema.evaluation import AuthorsProbe, Evaluation, Knn, LinearProbe, Udg
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
    RankPredictor,
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
    "RankPredictor",
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
    seed: int = option(0, "Seeds the streams: initialisation, order, views, style, probe.", ge=0, le=2**31 - 1)
    data: Data = option(description="The images.")
    views: Views = option(Views(), "The views.")
    network: Network = option(Network(), "Encoder and projector.")
    method: Method = option(description="The objective.")
    optimizer: Optimizers = option(Optimizers(), "The optimisers.")
    training: Training = option(Training(), "The loop.")
    evaluation: Evaluation = option(Evaluation(), "The judges.")
    run: Run = option(Run(), "The machine.")

    @model_validator(mode="after")
    def _sections_fit_together(self) -> Self:
        epochs, every, warmup = self.training.epochs, self.evaluation.every, self.optimizer.schedule.warmup_epochs
        if warmup > epochs:
            raise Misfit(
                f"a warm-up of {warmup:g} epochs does not fit into {epochs}",
                "optimizer.schedule.warmup_epochs",
                "training.epochs",
            )
        if every is not None and every > epochs:
            raise Misfit(f"every {every} epochs is never: training has {epochs}", "evaluation.every", "training.epochs")
        if self.evaluation.kept and (not self.training.keep_encoder_at or self.training.on_collapse == "stop"):
            what = "no encoder is kept on the way" if not self.training.keep_encoder_at else "a run may stop before"
            raise Misfit(what, "evaluation.kept", "training.keep_encoder_at", "training.on_collapse")
        self._method_has_what_it_needs()
        self._vectors_or_images()
        self._patches_fill_the_views()
        if self.evaluation.udg is not None and not (isinstance(self.data, DomainSection) and self.data.held_out):
            raise Misfit(
                "no domain is unseen: hold one out (data.held_out)", "evaluation.udg", "data.held_out", "data.kind"
            )
        if self.evaluation.analyses is not None and not isinstance(self.data, DomainSection):
            raise Misfit(f"{self.data.kind} images have no domains to analyse", "evaluation.analyses", "data.kind")
        if self.data.limit is not None and self.training.batch_size > self.data.limit:
            raise Misfit(
                f"a batch of {self.training.batch_size} is larger than the {self.data.limit} images of data.limit",
                "training.batch_size",
                "data.limit",
            )
        return self

    def _method_has_what_it_needs(self) -> None:
        """Views that the objective can take, a predictor to optimise, a transformer to mask, a batch to style."""
        method, views = self.method, self.views
        if isinstance(method, NonContrastive):
            if self.optimizer.predictor is not None and method.predictor.kind == "none":
                raise Misfit(
                    "there is no predictor to optimise: method.predictor.kind is none",
                    "optimizer.predictor",
                    "method.predictor",
                )
            if views.count != 2:
                raise Misfit(f"{method.kind} compares two views, not {views.count}", "views.count", "method.kind")
        elif self.optimizer.predictor is not None:
            raise Misfit(f"{method.kind} has no predictor to optimise", "optimizer.predictor", "method.kind")
        if isinstance(method, Swav) and method.queue is not None and self.training.last_batch == "keep":
            raise Misfit("a queue is filled by whole batches", "training.last_batch", "method.queue")
        if views.small is not None and not isinstance(method, Swav | Msn):
            raise Misfit(f"small views are for swav and msn, not for {method.kind}", "views.small", "method.kind")
        if isinstance(method, Msn) and self.network.backbone.kind != "vit":
            raise Misfit("msn masks the patches of a vit", "network.backbone.kind", "method.kind")
        if views.style.kind != "none" and self.training.batch_size < 2:
            raise Misfit("a batch of one image has no other style to take", "views.style", "training.batch_size")

    def _vectors_or_images(self) -> None:
        """Gaussian vectors go with noise, a linear network and no evaluation; images with none of these."""
        vectors = self.data.kind == "gaussian"
        if vectors != (self.views.noise is not None):
            what = (
                "gaussian data need views.noise"
                if vectors
                else f"noise makes views of vectors, not of {self.data.kind}"
            )
            raise Misfit(what, "views.noise", "data.kind")
        if vectors != (self.network.backbone.kind == "linear"):
            what = "gaussian data need" if vectors else f"{self.data.kind} images can't go into"
            raise Misfit(f"{what} a linear backbone", "network.backbone.kind", "data.kind")
        if vectors:
            for name in ("knn", "linear", "authors_probe"):
                if getattr(self.evaluation, name) is not None:
                    raise Misfit(
                        f"gaussian data have no labels to judge by: set {name} to null",
                        f"evaluation.{name}",
                        "data.kind",
                    )

    def _patches_fill_the_views(self) -> None:
        """A transformer is built for views of one side, and cuts each view into whole patches."""
        backbone, views = self.network.backbone, self.views
        if backbone.kind != "vit":
            return
        if views.size is None:
            raise Misfit("a vit is built for views of one side: set views.size", "views.size", "network.backbone.kind")
        sides = {"views.size": views.size} | ({"views.small.size": views.small.size} if views.small else {})
        for name, side in sides.items():
            if side % backbone.patch:
                raise Misfit(
                    f"patches of {backbone.patch} px do not divide views of {side}", "network.backbone.patch", name
                )
