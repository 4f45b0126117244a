"""The recipe, one section a file, in reading order: data, views, style, network, predictor, method, optimizer,
training, evaluation, run. Descriptions of fields are the manual; `sslrun schema` prints them as JSON Schema.

All sections are found here by their names. Those of a new kind need no line in this file.
"""

from typing import Any, Self

from pydantic import field_validator, model_validator

from sslrun.recipe.plugins import PluginName, digests, named
from sslrun.recipe.schema.base import Misfit, Section, option
from sslrun.recipe.schema.data import *
from sslrun.recipe.schema.domains import *
from sslrun.recipe.schema.evaluation import *
from sslrun.recipe.schema.judging import EvaluationSection
from sslrun.recipe.schema.method import *
from sslrun.recipe.schema.network import *
from sslrun.recipe.schema.optimizer import *
from sslrun.recipe.schema.predictor import *
from sslrun.recipe.schema.probes import *
from sslrun.recipe.schema.run import *
from sslrun.recipe.schema.style import *
from sslrun.recipe.schema.training import *
from sslrun.recipe.schema.views import *


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
    _uncut: "Recipe | None" = None
    """What a trial's recipe was before it was cut down."""

    def judged(self) -> dict[str, EvaluationSection]:
        """The evaluations that it asks for, by name; of images without labels those alone that compare none."""
        asked = self.evaluation.asked()
        return {name: section for name, section in asked.items() if self.data.labelled or not section.LABELS}

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
        for place, section in self.walk():
            if not named(type(section), self.imports):
                what = f"{type(section).__name__} is of the plug-in {type(section).__module__}: name that in `imports`"
                raise Misfit(what, f"{place}.kind", place)
            section.needs(self)
        return self
