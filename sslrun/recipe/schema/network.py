"""The encoder and its projector."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from sslrun.paths import user_path
from sslrun.recipe.schema.base import Misfit, Section, option

if TYPE_CHECKING:
    from sslrun.recipe.schema import Recipe


class Backbone(Section):
    """The network whose pooled features are kept and judged."""

    PAPERS = ("1512.03385", "1608.06993", "2010.11929")

    kind: Literal["resnet18", "resnet50", "densenet121", "small_resnet", "vit", "timm", "linear"] = option(
        "resnet18",
        "torchvision's networks with its parameter names; a ResNet of three small stages for images of 16 px; "
        "torchvision's vision transformer at any size; any network of timm, by `name`; or, for `data.kind: gaussian`, "
        "one matrix without bias, which starts as half of a random orthogonal one.",
    )
    name: str | None = option(
        None, "What timm calls the network: `convnext_atto`, say. Weights come by `network.weights` alone."
    )
    stem: Literal["imagenet", "cifar"] = option(
        "imagenet", "`cifar`: first convolution 3×3 with stride 1 and no max-pool (ResNets only)."
    )
    width: int = option(
        64,
        "Channels of the first stage (torchvision's ResNets have 64), the linear backbone's outputs, or the "
        "transformer's dimension (ViT-S has 384).",
        ge=4,
        le=65_536,
    )
    norm: Literal["batch", "group"] = option(
        "batch",
        "What normalises in a ResNet: batch norm, or group norm (arXiv 1803.08494; 16 channels a group, or all of a "
        "layer that has fewer), which looks at one image at a time.",
    )
    patch: int = option(16, "Side of a transformer's patches in pixels.", ge=1, le=1024)
    depth: int = option(12, "Layers of a transformer.", ge=1, le=1000)
    heads: int = option(6, "Heads of a transformer's attention; they divide the width.", ge=1, le=1024)

    @model_validator(mode="after")
    def _resnet_options(self) -> Self:
        if (self.name is None) == (self.kind == "timm"):
            what = "say which one: `name` is what timm calls it" if self.name is None else "name is for timm"
            raise Misfit(what, "name")
        if "resnet" not in self.kind and self.stem != "imagenet":
            raise Misfit(f"stem '{self.stem}' is for ResNets, not for {self.kind}", "stem")
        if "resnet" not in self.kind and self.norm != "batch":
            raise Misfit(f"norm '{self.norm}' is for ResNets, not for {self.kind}", "norm")
        if "resnet" in self.kind and self.width < 8:  # see networks/layout.py: what is narrower was never tried
            raise Misfit(f"a ResNet has at least 8 channels in its first stage, not {self.width}", "width")
        if self.kind in ("densenet121", "timm") and self.width != 64:
            raise Misfit(f"width is for ResNets; {self.name or self.kind} has a width of its own", "width")
        transformer = {"patch": self.patch != 16, "depth": self.depth != 12, "heads": self.heads != 6}
        for name, changed in transformer.items():
            if changed and self.kind != "vit":
                raise Misfit(f"{name} is for a vit, not for {self.kind}", name)
        if self.kind == "vit" and self.width % self.heads:
            raise Misfit(f"{self.heads} heads do not divide a width of {self.width}", "heads", "width")
        return self

    @property
    def batch_norm(self) -> bool:
        """Whether it has batch norms, and so running statistics; of timm's that isn't known before they are built."""
        return self.kind not in ("vit", "linear") and self.norm == "batch"

    def papers(self) -> tuple[str, ...]:
        resnet, densenet, vit = self.PAPERS
        of_kind = {"linear": (), "timm": (), "densenet121": (densenet,), "vit": (vit,)}
        return of_kind.get(self.kind, (resnet,))

    def words(self) -> str:
        """Its name in the field (of timm's without the weights that it may name, which it does not have), a
        transformer's shape, and a width and a norm that the name doesn't mean."""
        shape = f"/{self.patch}, {self.depth} layers of {self.width}" if self.kind == "vit" else ""
        if self.kind in ("resnet18", "resnet50") and self.width != 64:
            shape = f" of width {self.width}"
        name = _NAMES.get(self.kind, (self.name or self.kind).partition(".")[0])
        return name + shape + (" with group norm" if self.norm == "group" else "")

    def needs(self, recipe: "Recipe") -> None:
        """A linear backbone takes vectors; a transformer is built for views of one side, cut into whole patches."""
        views, kind = recipe.views, "network.backbone.kind"
        if self.kind == "linear" and recipe.data.HOLDS != "vectors":
            raise Misfit(f"{recipe.data.kind} images can't go into a linear backbone", kind, "data.kind")
        if self.kind != "vit":
            return
        if views.size is None:
            raise Misfit("a vit is built for views of one side: set views.size", "views.size", kind)
        sides = {"views.size": views.size} | ({"views.small.size": views.small.size} if views.small else {})
        for name, side in sides.items():
            if side % self.patch:
                what = f"patches of {self.patch} px do not divide views of {side}"
                raise Misfit(what, "network.backbone.patch", name)


_NAMES = {
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "densenet121": "DenseNet-121",
    "vit": "ViT",
    "small_resnet": "small ResNet",
    "linear": "linear network",
}


class Projector(Section):
    """Linear, norm, ReLU, Linear: from features to the space of the loss."""

    kind: Literal["mlp", "linear", "none"] = option("mlp", "`linear` is one layer without bias; `none` the features.")
    hidden: int = option(512, "Width of the hidden layer.", ge=1, le=1_000_000)
    out: int = option(128, "Dimension d of the projector's output z.", ge=1, le=1_000_000)
    layers: int = option(2, "Linear layers, each but the last followed by a norm and ReLU.", ge=2, le=4)
    norm: Literal["batch", "layer", "none"] = option(
        "batch", "Batch norm, as in the papers' codes, layer norm, which looks at one image at a time, or none."
    )
    affine: bool = option(False, "Whether its norms learn a scale and a shift (the DirectPred code: no).")


class Network(Section):
    """Encoder and projector; `weights` starts the encoder from a file."""

    backbone: Backbone = option(Backbone(), "The encoder.")
    projector: Projector = option(Projector(), "The projector.")
    weights: str | None = option(
        None,
        "Start the encoder from this file (.safetensors, or torch's state dict or checkpoint, with torchvision's "
        "names, or with timm's for its networks). Its digest is part of the identity, its place is not.",
        operational=True,
    )

    @property
    def weights_file(self) -> Path | None:
        """The file that `weights` means."""
        return None if self.weights is None else user_path(self.weights, "network.weights")
