"""The training step end to end, against itself on views that are ready and against the bare loop; and the share that
the predictor's rule has of it. Images a second are counted once a step, whatever the number of views.
"""

from collections.abc import Callable, Iterator
from itertools import count

from torch import Tensor

from sslrun.bench.images import BATCHES
from sslrun.bench.reference import BareLoop
from sslrun.bench.rows import Row
from sslrun.bench.timing import Settings, Stopwatch, Timing, alternate, calls_a_round, timing
from sslrun.data.images import ImageSet
from sslrun.methods import build_encoder, build_method, set_up
from sslrun.methods.noncontrastive import NonContrastive
from sslrun.networks.group import ALONE, Group
from sslrun.networks.precision import has_bf16
from sslrun.recipe.schema import Recipe
from sslrun.training.capture import WARM_UP
from sslrun.training.pretrain import Trainer, assemble

# All bars are for a full ResNet-18.
ALONE_BAR = 0.95
"""End to end against the step alone, same machine and precision."""
BARE_BARS = {"float32": 1.2, "bf16": 2.0}
"""End to end against the bare float32 loop with PIL views, on a CPU."""
RULE_BARS = {"cpu": 0.003, "cuda": 0.02}
"""Most of a step that the predictor's rule may take."""


class Steps:
    """Steps of a recipe in one precision: `end_to_end`, and `alone` on views made beforehand, by the same networks."""

    def __init__(
        self, recipe: Recipe, images: ImageSet, settings: Settings, precision: str, group: Group = ALONE
    ) -> None:
        training = recipe.training.model_copy(update={"precision": precision, "batch_size": settings.step_batch})
        recipe = recipe.model_copy(update={"training": training})
        self.trainer: Trainer = assemble(recipe, build_encoder(recipe, images.channels), images, settings.device, group)
        self.batches = self._endless()
        self.iterations = (i % len(self.trainer.updates.rates) for i in count())
        views = self.trainer.views
        batch_NCHW = next(self.batches)
        self.ready = views(batch_NCHW, views.draw(len(batch_NCHW), recipe.seed, 0))
        for _ in range(0 if self.trainer.captured is None else WARM_UP + 1):
            self.end_to_end()

    def end_to_end(self) -> Tensor:
        """Gather a batch, draw and make its views, train on them."""
        return self.trainer.step(next(self.batches), next(self.iterations))

    def alone(self) -> Tensor:
        """Train on the views that are ready."""
        return self.trainer.method.step(self.ready, next(self.iterations), self.trainer.updates)

    def _endless(self) -> Iterator[Tensor]:
        for epoch in count():
            yield from self.trainer.batches.epoch(epoch)


def step_rows(recipe: Recipe, images: ImageSet, settings: Settings) -> list[Row]:
    """Both precisions against the step alone and, for BYOL with its stop-gradient, against the bare loop.

    bf16 is left out where it would be emulated.
    """
    ours = {precision: Steps(recipe, images, settings, precision) for precision in precisions(settings)}
    contenders: list[Callable[[], object]] = [steps.alone for steps in ours.values()]
    contenders += [steps.end_to_end for steps in ours.values()]
    bare = _bare_loop(recipe, images, settings)
    taken = alternate([*contenders, *([bare.step] if bare else [])], settings)
    rows = []
    for number, precision in enumerate(ours):
        references: list[tuple[str, Timing, float | None]] = [("step alone", taken[number], ALONE_BAR)]
        if bare is not None:
            references.append(("bare PIL loop", taken[-1], BARE_BARS[precision] if settings.on_cpu else None))
        for name, reference, bar in references:
            what, end_to_end = f"{recipe.name} {precision} / {name}", taken[len(ours) + number]
            units, asked = settings.step_batch, barred(recipe, bar)
            rows.append(Row("step", what, reference, end_to_end, settings.clock, "images/s", units=units, bar=asked))
    return rows


def rule_rows(recipe: Recipe, images: ImageSet, settings: Settings) -> list[Row]:
    """What the predictor, if there is one, observes and does after a step, inside steps of the fastest precision."""
    precision = precisions(settings)[-1]
    steps = Steps(recipe, images, settings, precision)
    predictor = steps.trainer.method.predictor
    if predictor is None:
        return []
    repeats = calls_a_round(steps.alone, settings)
    whole, rule = Stopwatch(settings.device), Stopwatch(settings.device)
    for name in ("observe", "after_step"):
        setattr(predictor, name, rule.running()(getattr(predictor, name)))
    taken = []
    for _ in range(settings.rounds):
        for _ in range(repeats):
            with whole.running():
                steps.alone()
        taken.append((whole.take(repeats), rule.take(repeats)))
    what = f"{recipe.name} {precision}: {getattr(recipe.method, 'predictor', recipe.method).kind}"
    step, part = timing([step for step, _ in taken]), timing([part for _, part in taken])
    bar = barred(recipe, RULE_BARS.get(settings.device.type))
    return [Row("rule", what, step, part, settings.clock, "ms", share=True, bar=bar)]


def precisions(settings: Settings) -> list[str]:
    """Those that the device computes in, from the slower to the faster."""
    return ["float32"] if has_bf16(settings.device) is False else ["float32", "bf16"]


def _bare_loop(recipe: Recipe, images: ImageSet, settings: Settings) -> BareLoop | None:
    channels = images.channels
    training = recipe.training.model_copy(update={"precision": "float32"})
    plain = recipe.model_copy(update={"training": training})
    setup = set_up(plain, build_encoder(plain, channels), channels, 1, settings.device)
    method = build_method(plain.method, setup).to(settings.device)
    if not isinstance(method, NonContrastive) or method.target is None or recipe.views.style.kind != "none":
        return None  # another objective would need a loop of its own
    return BareLoop(recipe, method, images.images[: BATCHES * settings.step_batch], settings.step_batch)


def barred(recipe: Recipe, bar: float | None) -> float | None:
    """The bar of a full ResNet-18; no other network has one."""
    backbone = recipe.network.backbone
    return bar if backbone.kind == "resnet18" and backbone.width == 64 else None
