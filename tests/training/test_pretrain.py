"""What the loop keeps and hands on: an epoch's loss and rate, the target's momentum, and when a collapsed run stops."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sslrun.data import open_dataset
from sslrun.data.images import ImageSet
from sslrun.errors import Interrupted, RunFailed
from sslrun.files import write_text
from sslrun.recipe import read_recipe
from sslrun.recipe.schema import Recipe
from sslrun.runs.folder import RunFolder, create
from sslrun.training import pretrain as loop
from sslrun.training.diagnostics import calmer
from sslrun.training.pretrain import Trainer, assemble, pretrain
from sslrun.training.starting import starting_encoder

RECIPE = """
data: {kind: gaussian, count: 70, dim: 4}
views: {noise: 0.3, crop: null, flip: 0, jitter: null, greyscale: 0, blur: null}
network: {backbone: {kind: linear, width: 4}, projector: {kind: none}}
method: {kind: byol, loss: squared, predictor: {kind: linear}}
optimizer: {network: {kind: sgd, lr: 0.02, momentum: 0}, schedule: {kind: cosine, warmup_epochs: 1}}
training: {epochs: 4, batch_size: 16}
evaluation: {knn: null, linear: null, baselines: []}
"""
STEPS = 4  # whole batches of 16 in an epoch of 70


class Training:
    """A recipe's run in a folder, one session after another."""

    def __init__(self, folder: Path, *changes: str) -> None:
        write_text(folder / "tiny.yaml", RECIPE)
        self.recipe: Recipe = read_recipe(str(folder / "tiny.yaml"), changes)
        self.images: ImageSet = open_dataset(self.recipe.data, folder).images("pretrain")
        self.folder: RunFolder = create(folder / "results", "tiny", "ab" * 32, RECIPE)
        self.losses: list[float] = []
        self.shown: list[dict[str, Any]] = []

    def trainer(self) -> Trainer:
        encoder = starting_encoder(self.recipe, self.images.channels)
        return assemble(self.recipe, encoder, self.images, torch.device("cpu"))

    def go(
        self,
        observers: Sequence[Callable[[int, nn.Module], dict[str, float]]] = (),
        stop_after: int | None = None,
        trainer: Trainer | None = None,
    ) -> list[dict[str, Any]]:
        """Train on; the history. The session ends after so many steps, if given."""
        trainer = trainer or self.trainer()
        step = trainer.method.step

        def seen(views: Sequence[Tensor], iteration: int, updates: Any) -> Tensor:
            loss = step(views, iteration, updates)
            self.losses.append(float(loss))
            return loss

        trainer.method.step = seen  # type: ignore[method-assign]
        pretrain(
            self.recipe,
            trainer,
            self.images,
            self.folder,
            encoder_metadata={},
            observers=observers,
            watch=self.shown.append,
            stop_asked=lambda: stop_after is not None and len(self.losses) >= stop_after,
        )
        return self.folder.history.read()


def factor(iteration: int) -> float:
    """The schedule of RECIPE: an epoch of warm-up, then three of a cosine."""
    if iteration < STEPS:
        return (iteration + 1) / STEPS
    return (1 + math.cos(math.pi * (iteration - STEPS) / (3 * STEPS))) / 2


@pytest.mark.parametrize("stop_after", [None, 4, 6])
def test_an_epochs_loss_is_the_mean_and_its_rate_that_of_its_last_step(tmp_path: Path, stop_after: int | None) -> None:
    run = Training(tmp_path)
    if stop_after is not None:
        with pytest.raises(Interrupted):
            run.go(stop_after=stop_after)
    rows = run.go()
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["step"] for row in rows] == [0, 4, 8, 12, 16]
    assert (rows[0]["loss"], rows[0]["lr"], rows[0]["images_per_second"]) == (None, None, None)
    assert len(run.losses) == 4 * STEPS
    for epoch, row in enumerate(rows[1:]):
        steps = run.losses[epoch * STEPS : (epoch + 1) * STEPS]
        assert row["loss"] == pytest.approx(sum(steps) / STEPS, rel=1e-6)
        assert row["lr"] == pytest.approx(0.02 * factor(epoch * STEPS + STEPS - 1))
        assert row["images_per_second"] > 0
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds) and seconds[0] == 0
    assert run.shown[-len(rows) :] == rows if stop_after is None else run.shown[-1] == rows[-1]


def test_speed_counts_the_images_that_were_trained_on(tmp_path: Path) -> None:
    for changes, images in (((), 64), (("training.last_batch=keep",), 70)):
        run = Training(tmp_path / str(images), *changes)
        before = 0.0
        for row in run.go()[1:]:
            assert row["images_per_second"] * (row["seconds"] - before) == pytest.approx(images, rel=1e-3)
            before = row["seconds"]


@pytest.mark.parametrize("ema", ["{kind: cosine, momentum: 0.6}", "{kind: constant, momentum: 0.6}"])
def test_the_targets_momentum_is_that_of_the_step(tmp_path: Path, ema: str) -> None:
    run = Training(tmp_path, f"method.ema={ema}")
    trainer, total = run.trainer(), 4 * STEPS
    assert trainer.method.target is not None
    for iteration in range(total):
        before = [value.clone() for value in trainer.method.target.parameters()]
        trainer.step(run.images.images[:16], iteration)
        cosine = 1 - 0.4 * (math.cos(math.pi * iteration / total) + 1) / 2
        momentum = cosine if "cosine" in ema else 0.6
        moved = zip(before, trainer.method.online.parameters(), trainer.method.target.parameters(), strict=True)
        for old, online, new in moved:
            torch.testing.assert_close(new, momentum * old + (1 - momentum) * online.detach(), rtol=1e-5, atol=1e-7)


def test_a_rule_that_meets_numbers_that_are_not_finite_is_told_with_what_calms_the_method(tmp_path: Path) -> None:
    run = Training(tmp_path)
    trainer = run.trainer()

    def fails(views: Sequence[Tensor], iteration: int, updates: Any) -> Tensor:
        if iteration == 2:
            raise torch.linalg.LinAlgError("the algorithm failed to converge")  # type: ignore[attr-defined]
        return torch.ones(())

    trainer.method.step = fails  # type: ignore[method-assign]
    with pytest.raises(RunFailed) as told:
        run.go(trainer=trainer)
    assert "infinite numbers or NaN in the predictor's rule at step 2" in str(told.value)
    assert calmer(trainer.method) in str(told.value) and not run.folder.checkpoint.exists()


def test_an_epochs_end_is_saved_where_that_takes_little_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps of 10 s, epochs of 40 s, saving takes 1.7 s: more than 2 % of two epochs, less of three."""
    now, saved = [0.0], []

    def saves(*args: Any) -> None:
        now[0] += 1.7
        saved.append(args[2].epoch)

    def observes(epoch: int, encoder: nn.Module) -> dict[str, float]:
        now[0] += 40.0
        return {}

    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(loop, "save_checkpoint", saves)
    run = Training(tmp_path, "training.epochs=8", "run.checkpoint_minutes=60")
    trainer = run.trainer()
    step = trainer.method.step

    def steps(views: Sequence[Tensor], iteration: int, updates: Any) -> Tensor:
        now[0] += 0.001  # of no time no speed can be told
        return step(views, iteration, updates)

    trainer.method.step = steps  # type: ignore[method-assign]
    run.go([observes], trainer=trainer)
    assert saved == [1, 4, 7, 8]


def test_an_epochs_time_is_of_all_sessions_that_had_a_part_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    run = Training(tmp_path)

    def slow() -> Trainer:
        trainer = run.trainer()
        step = trainer.method.step

        def steps(views: Sequence[Tensor], iteration: int, updates: Any) -> Tensor:
            now[0] += 3.0
            return step(views, iteration, updates)

        trainer.method.step = steps  # type: ignore[method-assign]
        return trainer

    with pytest.raises(Interrupted):
        run.go(stop_after=6, trainer=slow())
    now[0] = 5000.0  # another day
    assert [row["seconds"] for row in run.go(trainer=slow())] == [0, 12, 24, 36, 48]


COLLAPSED, HEALTHY = 0.01, 0.9


@pytest.mark.parametrize(
    ("collapsed", "end"),
    [
        (range(21), 4),  # after 20 % of training
        (range(1, 5), 4),
        ({0, 1, 2, 4}, 20),  # three in a row it must be
        ({1, 2, 3}, 20),
        ({2, 3}, 20),
        ({7, 8, 10, 11, 12, 15, 16}, 12),
        ({18, 19, 20}, 20),
    ],
)
def test_a_collapsed_run_stops_if_the_recipe_says_so(tmp_path: Path, collapsed: Sequence[int], end: int) -> None:
    def std(epoch: int, _: nn.Module) -> dict[str, float]:
        return {"std": COLLAPSED if epoch in collapsed else HEALTHY}

    run = Training(tmp_path, "training.epochs=20", "training.on_collapse=stop")
    assert len(run.go([std])) == 1 + end
    assert run.folder.encoder.exists()
    short = Training(tmp_path / "short", "training.epochs=5", "training.on_collapse=stop")
    assert len(short.go([lambda *_: {"std": COLLAPSED}])) == 1 + 3  # the untrained network does not count
    again = Training(tmp_path / "finish", "training.epochs=20")
    assert len(again.go([std])) == 21


def test_observers_see_each_epochs_encoder(tmp_path: Path) -> None:
    run = Training(tmp_path, "training.keep_encoder_at=[1,3]")
    trainer = run.trainer()
    seen: list[tuple[int, bool]] = []

    def observe(epoch: int, encoder: nn.Module) -> dict[str, float]:
        seen.append((epoch, encoder is trainer.method.encoder))
        return {"probe.knn.accuracy": epoch / 10}

    rows = run.go([observe], trainer=trainer)
    assert seen == [(epoch, True) for epoch in range(5)]
    assert [row["probe.knn.accuracy"] for row in rows] == [0, 0.1, 0.2, 0.3, 0.4]
    assert run.folder.kept_epochs() == [1, 3]


def test_a_loss_that_is_not_finite_ends_the_run_before_its_checkpoint(tmp_path: Path) -> None:
    run = Training(tmp_path)
    trainer = run.trainer()
    step, calls = trainer.method.step, []

    def spoilt(views: Sequence[Tensor], iteration: int, updates: Any) -> Tensor:
        calls.append(iteration)
        return step([view * math.inf for view in views] if iteration == 9 else views, iteration, updates)

    trainer.method.step = spoilt  # type: ignore[method-assign]
    with pytest.raises(RunFailed, match="at step 9"):
        run.go(trainer=trainer)
    assert calls == list(range(12))  # read at the epoch's end
    assert [row["epoch"] for row in run.folder.history.read()] == [0, 1, 2]
    assert not run.folder.encoder.exists()
    assert all(value.isfinite().all() for value in trainer.method.state_dict().values())


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda trainer: setattr(trainer.views, "plain", lambda x_NC: x_NC * math.inf), "the views of the images"),
        (lambda trainer: trainer.method.online[0].weight.data.fill_(math.nan), r"online network \(0\.weight\)"),
        (lambda trainer: trainer.method.online[0].weight.data.fill_(3e38), "the projector's outputs"),
        (lambda trainer: trainer.method.predictor.linears[0].weight.data.fill_(math.inf), "the predictor's matrix"),
    ],
)
def test_what_is_not_finite_is_named_before_anything_is_computed_of_it(
    spoil: Callable[[Trainer], None], told: str, tmp_path: Path
) -> None:
    run = Training(tmp_path)
    trainer = run.trainer()
    spoil(trainer)
    with pytest.raises(RunFailed, match=told):
        run.go(trainer=trainer)
    assert run.folder.history.read() == []


@pytest.mark.parametrize("kind", ["directpred", "directset", "solve", "minimal_space", "symmetric_norm"])
def test_a_predictors_rule_that_meets_what_is_not_finite_is_told(kind: str, tmp_path: Path) -> None:
    run = Training(tmp_path, f"method.predictor={{kind: {kind}}}")
    trainer = run.trainer()
    images_NC = run.images.images[:16]
    for step in range(3):
        trainer.step(images_NC, step)
    with pytest.raises(RunFailed, match="infinite"):
        for step in range(3, 8):
            trainer.step(images_NC * math.inf, step)
        trainer.updates.raise_if_not_finite()


def test_a_row_has_the_signals_of_what_its_method_has(tmp_path: Path) -> None:
    of_all = {"std", "rank", "rank_correlation", "cosine", "spectrum"}
    of_matrix, of_target = {"asymmetry", "commutator", "smallest_eigenvalue", "alignment"}, {"proportionality"}
    had = {
        "method={kind: simclr}": of_all,
        "method={kind: simsiam, predictor: {kind: linear}}": of_all | of_matrix,
        "method={kind: byol, predictor: {kind: mlp, hidden: 4}}": of_all | of_target,
        "method={kind: byol, predictor: {kind: linear}}": of_all | of_matrix | of_target,
    }
    for number, (change, signals) in enumerate(had.items()):
        rows = Training(tmp_path / str(number), change, "training.epochs=1").go()
        assert len(rows) == 2
        for row in rows:
            assert row.keys() & (of_all | of_matrix | of_target) == signals, change
            assert set(row["weights"]) >= {"online"}
            assert ("target" in row["weights"]) == ("proportionality" in signals)


def test_only_a_linear_network_without_projector_has_its_weights_kept(tmp_path: Path) -> None:
    run = Training(tmp_path, "network.projector={kind: linear, out: 4}", "training.epochs=1")
    assert all("weights" not in row for row in run.go())


@pytest.mark.parametrize("stream", ["always", "never"])
def test_batches_are_streamed_as_the_recipe_says(stream: str, tmp_path: Path) -> None:
    recipe = read_recipe("quickstart", [f"data.stream={stream}", "data.limit=64", "training.batch_size=32"])
    images = open_dataset(recipe.data, tmp_path).images("pretrain")
    trainer = assemble(recipe, starting_encoder(recipe, 1), images, torch.device("cpu"))
    assert trainer.batches.stream == (stream == "always")
