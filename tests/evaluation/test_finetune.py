"""Fine-tuning: it learns, chooses its epoch on validation images alone, and is the same every time."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from domain_images import bars
from torch import Tensor, nn

from sslrun.data.images import ImageSet
from sslrun.errors import InputError, RunFailed
from sslrun.evaluation.features import extract
from sslrun.evaluation.finetune import Tuned, _head, finetune
from sslrun.networks.backbones import build_backbone
from sslrun.recipe.schema import Backbone, Crop, Digits, Recipe, Schedule, SimClr, Training, Udg, Views
from sslrun.training.optimizers import learning_rates

CPU = torch.device("cpu")
RECIPE = Recipe(
    name="bars",
    data=Digits(kind="digits"),
    method=SimClr(kind="simclr"),
    views=Views(crop=None, flip=0.0),
    training=Training(channels_last=True),
)
TRAIN, VALIDATION, TEST = bars(6, (0, 1, 2), seed=0), bars(5, (0, 1, 2), seed=1), bars(10, (3,), seed=2)


def encoder() -> nn.Module:
    return build_backbone(Backbone(kind="small_resnet", width=8), 3, 0)


def tuned(**options: float) -> Tuned:
    return finetune(encoder(), TRAIN, VALIDATION, TEST, RECIPE, Udg.model_validate(options), CPU)


def accuracy(found: Tuned) -> float:
    return float((found.predicted_N == TEST.labels).double().mean())


def test_learns_what_source_and_target_share() -> None:
    found = tuned(epochs=6, batch_size=24)
    assert found.validation > 0.95
    assert accuracy(found) > 0.8
    assert found.predicted_N.dtype == torch.int64


def test_the_same_every_time_and_nothing_outside_is_touched() -> None:
    network, beats = encoder(), []
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    options = Udg(epochs=2, batch_size=32, least_steps=3)
    first = finetune(network, TRAIN, VALIDATION, TEST, RECIPE, options, CPU, lambda: beats.append(1))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    # Two whole batches of 32 of 72 images, gone through twice an epoch; validation once an epoch, and the test images.
    assert len(beats) == 2 * 4 + 2 + 1
    again = finetune(network, TRAIN, VALIDATION, TEST, RECIPE, options, CPU)
    assert torch.equal(first.predicted_N, again.predicted_N)
    assert (first.validation, first.epoch) == (again.validation, again.epoch)
    other = finetune(network, TRAIN, VALIDATION, TEST, RECIPE.model_copy(update={"seed": 1}), options, CPU)
    assert (first.validation, first.predicted_N.tolist()) != (other.validation, other.predicted_N.tolist())


def test_target_labels_and_images_choose_nothing() -> None:
    options = Udg(epochs=3, batch_size=24)
    first = finetune(encoder(), TRAIN, VALIDATION, TEST, RECIPE, options, CPU)
    permuted = replace(TEST, labels=TEST.labels.roll(1))
    second = finetune(encoder(), TRAIN, VALIDATION, permuted, RECIPE, options, CPU)
    assert torch.equal(first.predicted_N, second.predicted_N)
    few = TEST.subset(torch.arange(7))
    third = finetune(encoder(), TRAIN, VALIDATION, few, RECIPE, options, CPU)
    assert (third.epoch, third.validation) == (first.epoch, first.validation)
    assert torch.equal(third.predicted_N, first.predicted_N[:7])


def test_the_weights_are_those_of_the_best_epoch_the_first_of_equals(monkeypatch: pytest.MonkeyPatch) -> None:
    few = VALIDATION.subset(torch.arange(8))
    few = replace(few, labels=torch.randint(0, 4, (8,), generator=torch.Generator().manual_seed(3)))
    by_epoch: list[float] = []

    def seen(network: nn.Module, images: ImageSet, *rest: Any, **options: Any) -> Tensor:
        logits = extract(network, images, *rest, **options)
        by_epoch.append(float((logits.argmax(1) == few.labels).double().mean()))
        return logits

    monkeypatch.setattr("sslrun.evaluation.finetune.extract", seen)
    options = Udg(epochs=6, batch_size=24, least_steps=1)
    found = finetune(encoder(), TRAIN, few, few, RECIPE, options, CPU)
    *by_epoch, last = by_epoch
    assert len(by_epoch) == 6
    assert found.validation == last == max(by_epoch)
    assert found.epoch == 1 + by_epoch.index(max(by_epoch)) < 6
    assert by_epoch.count(max(by_epoch)) > 1


def test_a_loss_that_is_not_finite_is_told() -> None:
    with pytest.raises(RunFailed, match=r"72 labelled images.* in epoch 1") as failure:
        tuned(epochs=2, lr=1e30)
    assert "evaluation.udg.lr" in str(failure.value)


def test_one_labelled_image_is_too_few() -> None:
    with pytest.raises(InputError, match="too little"):
        finetune(encoder(), TRAIN.subset(torch.tensor([0])), VALIDATION, TEST, RECIPE, Udg(), CPU)


def test_it_sees_the_recipes_crops_and_flips_where_it_is_to_augment_and_nothing_of_them_else() -> None:
    cropped = RECIPE.model_copy(update={"views": Views(crop=Crop(scale=(0.3, 0.6)), flip=0.5)})

    def found(recipe: Recipe, augment: bool) -> list[int]:
        options = Udg(epochs=2, batch_size=24, augment=augment)
        return finetune(encoder(), TRAIN, VALIDATION, TEST, recipe, options, CPU).predicted_N.tolist()

    assert found(cropped, False) == found(RECIPE, True) == found(RECIPE, False)
    assert found(cropped, True) != found(RECIPE, True)


@pytest.mark.parametrize(("epochs", "warm_up"), [(1, 0), (2, 1), (5, 1)])
def test_an_epoch_of_warm_up_if_there_is_another(epochs: int, warm_up: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Schedule, int, int]] = []

    def rates(schedule: Schedule, steps_per_epoch: int, epochs: int) -> Any:
        asked.append((schedule, steps_per_epoch, epochs))
        return learning_rates(schedule, steps_per_epoch, epochs)

    monkeypatch.setattr("sslrun.evaluation.finetune.learning_rates", rates)
    tuned(epochs=epochs, batch_size=24, least_steps=5)  # 72 images: three steps, gone through twice
    assert asked == [(Schedule(kind="cosine", warmup_epochs=warm_up), 6, epochs)]


def test_the_head_starts_small_and_by_the_seed_alone() -> None:
    network = encoder()
    torch.manual_seed(5)
    head = _head(network, 700, seed=3)
    weight = head.weight.detach()
    assert len(weight) == 700 and not head.bias.any()
    assert float(weight.std()) == pytest.approx(0.01, rel=0.05) and abs(float(weight.mean())) < 1e-3
    torch.manual_seed(6)
    assert torch.equal(weight, _head(network, 700, seed=3).weight)
    assert not torch.equal(weight, _head(network, 700, seed=4).weight)
