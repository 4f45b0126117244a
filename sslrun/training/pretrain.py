"""The loop: batches, views, the method's step; and, between steps, what is recorded, saved and watched.

Nothing here changes the numerics of a step (that is the method's file: `sslrun.methods.noncontrastive`). The loop
never waits for the device inside an epoch but to read the non-finite flag, every 50 steps and before a checkpoint.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sslrun.data.batches import Batches, choose_stream
from sslrun.data.images import ImageSet
from sslrun.errors import Interrupted, RunFailed
from sslrun.limits import memory_share
from sslrun.methods import Method, build_method, set_up
from sslrun.networks.encoder import Encoder
from sslrun.networks.group import ALONE, Group, over_all
from sslrun.networks.layout import trained_channels_last
from sslrun.networks.weights import save_encoder
from sslrun.recipe.schema import Recipe
from sslrun.runs.folder import RunFolder
from sslrun.runs.verdict import COMPLETE, evidence, verdict
from sslrun.training.capture import CapturedSteps, CudaGraphs, Graphs, why_not
from sslrun.training.checkpoint import Position, load_checkpoint, save_checkpoint
from sslrun.training.diagnostics import fixed_images, not_finite, signals
from sslrun.training.negatives import Negatives
from sslrun.training.optimizers import Updates, learning_rates
from sslrun.views.noise import NoiseViews
from sslrun.views.pipeline import MakesViews, Views

Observer = Callable[[int, nn.Module], dict[str, float]]

_GUARD_EVERY = 50  # steps between two readings of the non-finite flag
_SAVING_SHARE = 0.02  # an epoch's end is saved if saving takes at most this part of the time since the last save
_STOP_AFTER, _STOP_IN_A_ROW = 0.2, 3  # on_collapse: stop


@dataclass
class Trainer:
    """All that trains one run: the method on its device, its optimisers, its batches and its views."""

    method: Method
    updates: Updates
    batches: Batches
    views: MakesViews
    seed: int
    captured: CapturedSteps | None = None

    def step(self, images_NCHW: Tensor, iteration: int) -> Tensor:
        """Draw the views of a batch of uint8 images and train on them. Returns the loss, still on the device.

        Of several processes each makes the views of the rows that are its part, of the whole batch's draws. Raises
        `RunFailed` where a predictor's rule meets numbers that are not finite.
        """
        draws, group = self.views.draw(len(images_NCHW), self.seed, iteration), self.method.group
        group.batch = len(images_NCHW)
        try:
            if self.captured is not None:
                return self.captured.step(images_NCHW, self.views.for_device(draws), iteration)
            whole = group.size == 1
            views = self.views(images_NCHW, draws) if whole else self.views.part(images_NCHW, draws, group.part())
            loss = self.method.step(views, iteration, self.updates)
        # Of a predictor's rule, before the flag of the step is read.
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            self.updates.raise_if_not_finite()
            raise not_finite(f"the predictor's rule at step {iteration}", self.method) from error
        if not isinstance(loss, Tensor) or loss.shape or loss.requires_grad:  # a plug-in's, which types don't hold
            code = type(self.method).step.__code__
            given = f"{loss.requires_grad * 'not detached, '}{tuple(loss.shape)}" if isinstance(loss, Tensor) else loss
            raise RunFailed(
                f"{type(self.method).__name__}.step gave {given}",
                where=f"{code.co_filename}:{code.co_firstlineno}",
                remedy="It gives the loss of the batch: one number, a tensor of shape (), detached.",
            )
        return loss

    def plain(self, images_NCHW: Tensor) -> Tensor:
        """The unaugmented view of uint8 images, on the device, as the encoder wants it."""
        return self.views.plain(images_NCHW.to(self.updates.device))


def assemble(
    recipe: Recipe,
    encoder: Encoder,
    images: ImageSet,
    device: torch.device,
    group: Group = ALONE,
    *,
    graphs: Graphs | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Trainer:
    """Everything that `recipe` trains with on `images`, around an `encoder` in its starting state; in a `group` of
    processes if not alone. Steps are captured by `graphs`, if given, else as the recipe says.
    """
    training, channels = recipe.training, images.channels

    def wanted(n: int, iteration: int) -> Iterable[int]:
        return range(n) if group.size == 1 else views.needed(n, recipe.seed, iteration, group.share(range(n)))

    batches = Batches(
        images,
        batch_size=training.batch_size,
        seed=recipe.seed,
        last_batch=training.last_batch,
        device=device,
        stream=choose_stream(recipe.data.stream, images, device),
        wanted=wanted,
    )
    setup = set_up(recipe, encoder, channels, batches.steps_per_epoch, device, group)
    method = build_method(recipe.method, setup)
    over_all(method, group)
    channels_last = trained_channels_last(training.channels_last, method, device)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    method.to(device, memory_format=layout)  # type: ignore[call-overload]  # torch knows of no device with a layout
    rates = learning_rates(recipe.optimizer.schedule, batches.steps_per_epoch, training.epochs)
    views: MakesViews
    if recipe.views.noise is not None:
        views = NoiseViews(recipe.views.noise, channels, recipe.views.count)
    else:
        views = Views(recipe.views, channels=channels, stored=images.side, channels_last=channels_last)
    updates = Updates(method, recipe.optimizer, rates, device)
    captured = None
    pixels = training.batch_size * (1 if recipe.views.noise is not None else (recipe.views.size or images.side) ** 2)
    if graphs is not None or why_not(recipe.run.graph, method, updates, pixels, device) is None:
        captured = CapturedSteps(views, method, updates, graphs or CudaGraphs(device), batches.batch_size, say)
    return Trainer(method, updates, batches, views, recipe.seed, captured)


def pretrain(
    recipe: Recipe,
    trainer: Trainer,
    images: ImageSet,
    folder: RunFolder,
    *,
    encoder_metadata: dict[str, Any],
    observers: Sequence[Observer] = (),
    watch: Callable[[dict[str, Any]], None] = lambda _: None,
    stop_asked: Callable[[], bool] = lambda: False,
) -> None:
    """Train to the end, from the folder's checkpoint if it has one; history, checkpoints and encoders go there.

    `observers` see each epoch's encoder and add to its row. `watch` is shown where training stands: every few steps,
    and each epoch's row. `stop_asked` ends training after the running step. Raises `Interrupted` once the state is
    saved, and `RunFailed` for non-finite values or a damaged checkpoint. Of several processes the one that leads its
    group writes; all observe, and stop together.
    """
    course = _Course(recipe, trainer, folder, images, encoder_metadata, observers, watch, stop_asked)
    course.resume()
    while course.position.epoch < recipe.training.epochs and not course.ends_early():
        course.train_epoch()
        course.finish_epoch()
    course.keep_encoder(folder.encoder)


@dataclass
class _Course:
    """One session of training a run: where it stands, and what it does between steps."""

    recipe: Recipe
    trainer: Trainer
    folder: RunFolder
    images: ImageSet
    encoder_metadata: dict[str, Any]
    observers: Sequence[Observer]
    watch: Callable[[dict[str, Any]], None]
    stop_asked: Callable[[], bool]

    def __post_init__(self) -> None:
        device = self.trainer.updates.device
        self.shown_NCHW = fixed_images(self.images.images)
        self.negatives = Negatives(self.recipe, self.images, device) if self.images.domains is not None else None
        self.loss_sum = torch.zeros((), device=device)
        self.position = Position()
        self.saved_at, self.saving_takes = time.perf_counter(), 0.0

    def resume(self) -> None:
        """Go on from the checkpoint if there is one, else record the untrained network as epoch 0."""
        trainer = self.trainer
        self.position = load_checkpoint(
            self.folder.checkpoint, self.folder.identity, trainer.method, trainer.updates, trainer.updates.device
        )
        self.loss_sum.fill_(self.position.loss_sum)
        started = self.position.epoch > 0 or self.position.step > 0
        history = self.folder.history
        if self.leads:
            history.truncate_after(self.position.epoch if started else -1)
        if self.leads and started and ((history.last() or {}).get("epoch") != self.position.epoch):
            raise RunFailed(
                f"epochs up to {self.position.epoch}, which the checkpoint has done, are missing here",
                where=str(history.path),
                remedy="Put a copy of it back, or start the run anew with --fresh.",
            )
        if not started:
            self.record(loss=None, lr=None, images_per_second=None)
        trainer.method.train()

    def train_epoch(self) -> None:
        """The rest of the current epoch, step by step."""
        trainer, position = self.trainer, self.position
        begun = time.perf_counter() - position.epoch_seconds
        for batch_NCHW in trainer.batches.epoch(position.epoch, first_step=position.step):
            self.loss_sum += trainer.step(batch_NCHW, self.iteration)
            position.step += 1
            position.epoch_seconds = time.perf_counter() - begun
            if position.step % _GUARD_EVERY == 0:
                self.check()
                self.watch({"epoch": position.epoch, "step": position.step, "steps": trainer.batches.steps_per_epoch})
            if self.trainer.method.group.any(self.stop_asked()):
                self.save()
                raise Interrupted("stopped; the state is saved", remedy="The same command goes on from here.")
            if time.perf_counter() - self.saved_at > 60 * self.recipe.run.checkpoint_minutes:
                self.save()
        self.check()  # also waits for the device, so that the epoch's time is the time it took
        position.epoch_seconds = time.perf_counter() - begun

    def finish_epoch(self) -> None:
        """Write the epoch's row, keep its encoder if asked to, and save where that is cheap."""
        position, steps = self.position, self.trainer.batches.steps_per_epoch
        loss = float(self.loss_sum) / steps
        rate = self.recipe.optimizer.network.lr * float(self.trainer.updates.rates[self.iteration - 1])
        images = min(steps * self.recipe.training.batch_size, len(self.images))
        speed = images / position.epoch_seconds
        position.seconds += position.epoch_seconds
        position.epoch, position.step, position.epoch_seconds = position.epoch + 1, 0, 0.0
        self.loss_sum.zero_()
        device = self.trainer.updates.device
        memory = {"memory_share": memory_share(device)} if device.type == "cuda" else {}
        self.record(loss=loss, lr=rate, images_per_second=speed, **memory)
        if position.epoch in self.recipe.training.keep_encoder_at:
            self.keep_encoder(self.folder.encoder_at(position.epoch))
        last = position.epoch == self.recipe.training.epochs
        if last or self.saving_takes < _SAVING_SHARE * (time.perf_counter() - self.saved_at):
            self.save()

    @property
    def leads(self) -> bool:
        """Whether this process writes for all that train the run."""
        return self.trainer.method.group.leads

    def keep_encoder(self, path: Path) -> None:
        """Write the encoder of this moment."""
        if self.leads:
            save_encoder(path, self.trainer.method.encoder, self.encoder_metadata | {"epochs": self.position.epoch})

    def record(self, **row: Any) -> None:
        """Append the row of the epochs done so far, with its signals and what the observers see, to the history."""
        epoch = self.position.epoch
        row = {"epoch": epoch, "step": epoch * self.trainer.batches.steps_per_epoch, **row}
        if self.leads:
            alpha_p = self.recipe.optimizer.alpha_p
            row |= signals(self.trainer.method, self.shown_NCHW, self.trainer.plain, alpha_p=alpha_p)
            if self.negatives is not None:
                row |= self.negatives(self.trainer.method, epoch)
        for observer in self.observers:
            row |= observer(epoch, self.trainer.method.encoder)
        if not self.leads:
            return
        row["seconds"] = self.position.seconds
        self.folder.history.append(row)
        self.watch(row)

    def check(self) -> None:
        """Read the non-finite flag; waits for the device."""
        self.trainer.updates.raise_if_not_finite()

    def save(self) -> None:
        """Write a checkpoint of this moment, never one with non-finite weights."""
        self.check()
        if not self.leads:
            return
        begun = time.perf_counter()
        self.position.loss_sum = float(self.loss_sum)
        save_checkpoint(
            self.folder.checkpoint, self.folder.identity, self.position, self.trainer.method, self.trainer.updates
        )
        self.saved_at = time.perf_counter()
        self.saving_takes = self.saved_at - begun

    def ends_early(self) -> bool:
        """Whether the recipe stops collapsed runs and this one has been collapsed for long enough."""
        training = self.recipe.training
        if training.on_collapse != "stop" or self.position.epoch < _STOP_AFTER * training.epochs:
            return False
        recent = self.folder.history.read()[1:][-_STOP_IN_A_ROW:] if self.leads else []
        sized = self.recipe.method.sized
        collapsed = [verdict(evidence(row, training.collapse, sized=sized)) == COMPLETE for row in recent]
        return self.trainer.method.group.any(len(collapsed) == _STOP_IN_A_ROW and all(collapsed))

    @property
    def iteration(self) -> int:
        """Steps done since training began."""
        return self.position.epoch * self.trainer.batches.steps_per_epoch + self.position.step
