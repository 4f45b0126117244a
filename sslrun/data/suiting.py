"""What the counts and names of images tell of a recipe before anything is decoded, trained or made.

Each evaluation's section says what it needs (`suits`); what training needs stands here. Needs no torch.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

from sslrun.data.dataset import Dataset, open_dataset
from sslrun.errors import InputError
from sslrun.recipe.schema import Recipe


def require(recipe: Recipe, data: Dataset, devices: int = 1) -> None:
    """Raise the first `InputError` of `problems`, if there is one."""
    for problem in problems(recipe, data, devices):
        raise problem


def problems(recipe: Recipe, data: Dataset, devices: int = 1) -> Iterator[InputError]:
    """What keeps the recipe from being trained and judged on these images, on so many devices: missing ones, too few,
    or named so that numbers of theirs would be taken for others."""
    told: set[str] = set()
    looks: list[Callable[[], None]] = [partial(_fills_batches, recipe, data, devices)]
    if whole := recipe._uncut:  # a trial has few images, and batches as small
        looks.append(partial(_fills_batches, whole, open_dataset(whole.data, data.root), devices))
    looks += [partial(section.suits, data.counts) for section in recipe.judged().values()]
    for look in looks:
        try:
            look()
        except InputError as error:
            if str(error) not in told:
                yield error
            told.add(str(error))


def _fills_batches(recipe: Recipe, data: Dataset, devices: int) -> None:
    images, training = data.counts("pretrain").total, recipe.training
    steps_per_epoch(images, training.batch_size, training.last_batch)
    if images % training.batch_size == 1 and training.last_batch == "keep":
        what = f"{images:,} images in batches of {training.batch_size:,} leave a single one for the last batch"
        raise InputError(
            f"{what}, which has no other to be told apart from",
            where="training.last_batch",
            remedy="Drop that batch, or choose another training.batch_size.",
        )
    size = training.batch_size
    least = min(size, images % size or size) if training.last_batch == "keep" else size
    if least < devices:
        raise InputError(
            f"a batch of {least} image{'s' * (least > 1)} can't be cut into parts for {devices} devices",
            where="training.batch_size",
            remedy="Take fewer devices" + (", or training.last_batch: drop." if least < size else "."),
        )


def steps_per_epoch(images: int, batch_size: int, last_batch: Literal["drop", "keep"]) -> int:
    """How many batches an epoch has. Raises `InputError` if there would be none."""
    whole, rest = divmod(images, batch_size)
    if whole == 0 and last_batch == "drop":
        raise InputError(
            f"{images:,} images don't fill one batch of {batch_size:,}",
            where="training.batch_size",
            remedy="Use smaller batches, more images, or training.last_batch: keep",
        )
    return whole + (rest > 0 and last_batch == "keep")
