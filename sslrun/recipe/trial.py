"""SSLRUN_TRIAL=1: recipes are cut down to seconds as they are read, and grids to their first cells, to see them work.

What runs then is another recipe, with an identity of its own; what `small` is to one grid, this is to all.
"""

import json
import os

from sslrun.recipe.combining import override
from sslrun.recipe.document import Document
from sslrun.recipe.schema import Recipe

TAG = "trial"
"""What its runs are found by."""
CELLS = 2
"""How many cells of a grid are left."""
_CHANGES = (
    "training.epochs=1",
    "training.batch_size=40",
    "training.precision=float32",
    "training.keep_encoder_at=[]",
    "evaluation.kept=false",
    "optimizer.schedule.warmup_epochs=0",
)
_IMAGES = "data.limit=80"
_SIDE, _STORED, _LARGE = 32, 40, 96
"""Of views and stored pictures, where views are larger than `_LARGE`: all test pictures are judged in a trial, too."""


def on() -> bool:
    """Whether SSLRUN_TRIAL is set."""
    return bool(os.environ.get("SSLRUN_TRIAL"))


def changes(recipe: Recipe) -> list[Document]:
    """What is laid over a recipe that is right as it was written; nothing unless SSLRUN_TRIAL is set."""
    if not on():
        return []
    texts = [*_CHANGES, f"run.tags={json.dumps([*recipe.run.tags, TAG])}"]
    if recipe.data.kind != "gaussian":  # whose vectors are a whole
        texts.append(_IMAGES)
    if getattr(recipe.views.style, "styles", 1) > 2:  # each needs two images of the batch
        texts.append("views.style.styles=2")
    if (recipe.views.size or 0) > _LARGE:
        texts.append(f"views.size={_SIDE}")
        if hasattr(recipe.data, "store"):
            texts.append(f"data.store={_STORED}")
    if recipe.evaluation.udg is not None:
        fraction = min(recipe.evaluation.udg.fractions)
        texts += [f"evaluation.udg.{text}" for text in ("epochs=1", "least_steps=1", f"fractions=[{fraction}]")]
    if recipe.evaluation.analyses is not None:
        texts.append("evaluation.analyses=null")
    return [override(text) for text in texts]
