"""SSLRUN_TRIAL=1: recipes are cut down to seconds as they are read, and grids to their first cells, to see them work.

What runs then is another recipe, with an identity of its own; what `small` is to one grid, this is to all.
"""

import os
from collections.abc import Mapping
from typing import Any

from sslrun.recipe.combining import override
from sslrun.recipe.document import Document

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
_JUDGING = {
    "udg": ("evaluation.udg.epochs=1", "evaluation.udg.least_steps=1"),
    "analyses": ("evaluation.analyses=null",),
}
"""What is changed of evaluations that a recipe asks for: the slow ones."""


def changes(recipe: Mapping[str, Any]) -> list[Document]:
    """What is laid over a recipe's values; nothing unless SSLRUN_TRIAL is set."""
    if not os.environ.get("SSLRUN_TRIAL"):
        return []
    data, judged = ((recipe.get(part) or {}) for part in ("data", "evaluation"))
    drawn = isinstance(data, dict) and data.get("kind") == "gaussian"  # whose vectors are a whole
    slow = (text for name, texts in _JUDGING.items() if name in judged for text in texts)
    return [override(text) for text in (*_CHANGES, *([] if drawn else [_IMAGES]), *slow)]
