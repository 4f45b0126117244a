"""Which images a run learns from. Where they lie on this machine is operational and stays out of its identity."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sslrun.recipe.schema.base import Kind, Misfit, option

if TYPE_CHECKING:
    from sslrun.recipe.schema import Recipe

CITE_DIGITS = ("1201.0490",)
"""What scikit-learn asks users of its digits to cite."""


def store_option() -> Any:
    """`store` of kinds that decode pictures from files."""
    return option(
        256,
        "Pictures are stored once as squares of this side: short side scaled to it (antialiased), centre cut out.",
        ge=16,
        le=1024,
    )


class Data(Kind):
    """What all sources share."""

    BUILDER = "sslrun.data.dataset:open_dataset"
    WORDS: ClassVar[str] = ""  # what the field calls it; its kind if empty
    HOLDS: ClassVar[Literal["images", "vectors"]] = "images"  # vectors have no labels, and go with a linear network
    LABELLED: ClassVar[bool] = True  # see `labelled`
    SEVERAL_DOMAINS: ClassVar[bool] = False  # whether one of them can be held out

    limit: int | None = option(
        None,
        "Use only this many training images, drawn evenly over the classes by a fixed rule: the classes take "
        "turns, each giving its next image in file order (unlabelled images are one class, the last in turn; "
        "with several domains each class of each domain has its turn). All of them if null.",
        ge=2,
    )
    stream: Literal["auto", "always", "never"] = option(
        "auto",
        "Read batches from the memory-mapped cache instead of keeping all images on the device. `auto` streams "
        "when they would take more than half of the free memory. The numbers are the same either way.",
        operational=True,
    )

    @property
    def labelled(self) -> bool:
        """Whether there are classes to judge by."""
        return self.LABELLED

    def words(self) -> str:
        """Its name in the field, or its folder's."""
        path = getattr(self, "path", "")
        return self.WORDS or path.rstrip("/").rsplit("/", 1)[-1] or super().words()

    def needs(self, recipe: "Recipe") -> None:
        batch = recipe.training.batch_size
        if self.limit is not None and batch > self.limit:
            what = f"a batch of {batch} is larger than the {self.limit} images of data.limit"
            raise Misfit(what, "training.batch_size", "data.limit")
        vectors = self.HOLDS == "vectors"
        if vectors and recipe.views.noise is None:
            raise Misfit(f"{self.kind} data need views.noise", "views.noise", "data.kind")
        if vectors and recipe.network.backbone.kind != "linear":
            raise Misfit(f"{self.kind} data need a linear backbone", "network.backbone.kind", "data.kind")


class Tunable(Data):
    """What sets share whose training images can stand in for the test images, to choose settings by."""

    tuning: bool = option(
        False,
        "For choosing settings: every fifth training image of each class is kept from learning and is judged by in "
        "place of the test images, which stay unseen.",
    )

    def words(self) -> str:
        """Its name, and what it is cut down to."""
        return super().words() + (", a fifth kept to choose by" if self.tuning else "")


class Digits(Tunable):
    """scikit-learn's real 8×8 handwritten digits; the last 397 (other writers) are the test set. Needs no files."""

    PAPERS = CITE_DIGITS

    kind: Literal["digits"] = option(description="Built in: 1,797 grey images, 10 classes.")
    size: int = option(16, "Side in pixels to which the 8×8 images are enlarged (bilinear).", ge=8, le=64)


class Stl10(Data):
    """STL-10 in torchvision's binary layout (`stl10_binary/`), 96×96."""

    WORDS = "STL-10"

    kind: Literal["stl10"] = option(description="113,000 images, 10 classes; 5,000 of them labelled for training.")
    pretrain: Literal["train+unlabeled", "unlabeled", "train"] = option(
        "train+unlabeled", "The images to pretrain on; evaluation always uses the labelled `train` and `test`."
    )


class Cifar(Tunable):
    """CIFAR-10 or CIFAR-100 in the original Python layout, 32×32. The pickles are read without trusting them."""

    kind: Literal["cifar10", "cifar100"] = option(description="50,000 training and 10,000 test images.")
    verify: bool = option(
        True,
        "Compare the files with the published checksums. False for re-encoded copies. The fingerprint of the "
        "files is part of the identity either way.",
        operational=True,
    )

    def words(self) -> str:
        return super().words().replace("cifar", "CIFAR-")


class Folder(Data):
    """Class folders with pictures of any size: `<path>/<train>/<class>/*.jpg` and `<path>/<test>/<class>/*.jpg`.
    Without evaluations `<path>/<train>/` will do, with class folders or `*.jpg` alone."""

    kind: Literal["folder"] = option(description="One folder a class; jpg, png, webp, bmp, tif, ppm.")
    path: str = option(description="The folder, absolute or below the data folder.", operational=True)
    train: str = option("train", "Name of the sub-folder with the training images.")
    test: str = option("val", "Name of the sub-folder with the test images.")
    store: int = store_option()


class Pictures(Data):
    """Any pictures below `<path>`, flat or nested: folders are no classes, and other files are passed over. As they
    have no labels, evaluations that compare these are left out."""

    LABELLED = False

    kind: Literal["pictures"] = option(description="Any folder of pictures, without labels.")
    path: str = option(description="The folder, absolute or below the data folder.", operational=True)
    store: int = store_option()


class Gaussian(Data):
    """Vectors without labels, for experiments with the theory: see `recipes/linear_theory.yaml`.

    Drawn from a normal distribution, then centred and turned so that their correlation is exactly the diagonal matrix
    of `variances`: the X of the theory (arXiv 2102.06810), without the sampling error of a finite set.
    """

    PAPERS = ("2102.06810",)

    HOLDS, LABELLED = "vectors", False

    kind: Literal["gaussian"] = option(description="Gaussian vectors; `views.noise` makes their views.")
    count: int = option(description="Number of vectors; more than `dim`.", ge=2, le=10_000_000)
    dim: int = option(description="Their dimension.", ge=1, le=4096)
    variances: tuple[Annotated[float, Field(gt=0)], ...] | None = option(
        None, "Variance along each dimension; 1 along all of them if null."
    )
    seed: int = option(0, "Seeds the draw; the recipe's own seed leaves the data alone.", ge=0, le=2**31 - 1)

    @model_validator(mode="after")
    def _numbers_fit_together(self) -> Self:
        if self.count <= self.dim:
            raise Misfit(f"{self.count} vectors can't have every correlation in {self.dim} dimensions", "count", "dim")
        if self.variances is not None and len(self.variances) != self.dim:
            raise Misfit(f"{len(self.variances)} variances for {self.dim} dimensions", "variances", "dim")
        if self.limit is not None:
            raise Misfit("a part of the vectors has another correlation than asked for: change `count`", "limit")
        return self
