"""The protocol of unseen domains: who is fitted on what, what chooses, and how domains are summed up."""

from dataclasses import replace

import pytest
import torch
from domain_images import DOMAINS, bars
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from sslrun.data.images import ImageSet
from sslrun.errors import InputError
from sslrun.evaluation.features import Featured, pixels
from sslrun.evaluation.finetune import Tuned
from sslrun.evaluation.linear import linear_probe
from sslrun.evaluation.problem import problem
from sslrun.evaluation.udg import by_domain, labelled_subset, nearest_class, probe, udg
from sslrun.recipe.schema import LinearProbe, Udg


def featured(per_cell: int, domains: tuple[int, ...], seed: int) -> Featured:
    """Pixels seen through a fixed random map: features that know of class and domain."""
    images = bars(per_cell, domains, seed)
    mixing_DE = torch.randn((12 * 12 * 3, 20), generator=torch.Generator().manual_seed(0))
    return Featured(images, (pixels(images) - 0.4) @ mixing_DE)


TRAIN, VALIDATION, TEST = featured(11, (0, 1), seed=0), featured(6, (0, 1), seed=1), featured(9, (2, 3), seed=2)


class Tunes:
    """Stands in for fine-tuning: remembers what it was given, says class 1 of everything."""

    def __init__(self) -> None:
        self.labelled: list[ImageSet] = []

    def __call__(self, labelled: ImageSet, validation: ImageSet, test: ImageSet) -> Tuned:
        assert len(validation) == len(VALIDATION.images)
        self.labelled.append(labelled)
        return Tuned(torch.ones(len(test), dtype=torch.int64), 0.75, 3)


def test_probes_below_the_threshold_and_fine_tuning_from_it_on() -> None:
    tune = Tunes()
    metrics = udg(Udg(fractions=(1.0, 0.01, 0.1, 0.05)), TRAIN, VALIDATION, TEST, tune)
    assert [len(images) for images in tune.labelled] == [2 * 4 * 2, 2 * 4 * 11]
    for images, fraction in zip(tune.labelled, (0.1, 1.0), strict=True):
        index = labelled_subset(TRAIN.images.labels, TRAIN.images.domains, fraction)  # type: ignore[arg-type]  # set here
        assert torch.equal(images.images, TRAIN.images.images[index])
        assert torch.equal(images.labels, TRAIN.images.labels[index])
    of_all = {"fog", "night", "avg", "overall"}
    expected = {f"nn.{key}" for key in of_all}
    expected |= {f"{part}.{key}" for part in ("1", "5") for key in of_all | {"validation", "labelled", "part", "decay"}}
    expected |= {
        f"{part}.{key}" for part in ("10", "100") for key in of_all | {"validation", "labelled", "part", "epoch"}
    }
    assert metrics.keys() == expected
    assert [metrics[f"{part}.labelled"] for part in ("1", "5", "10", "100")] == [8, 8, 16, 88]
    assert (metrics["10.validation"], metrics["10.epoch"], metrics["10.avg"]) == (0.75, 3, 0.25)
    assert metrics["1.validation"] > 0.5


def test_erm_tunes_at_every_fraction_and_pixels_at_none() -> None:
    tune = Tunes()
    metrics = udg(Udg(finetune_from=0.0), TRAIN, VALIDATION, TEST, tune)
    assert len(tune.labelled) == 4
    assert "1.epoch" in metrics
    assert udg(Udg(), TRAIN, VALIDATION, TEST, None).keys() == {"nn.fog", "nn.night", "nn.avg", "nn.overall"}


def test_each_domain_their_mean_and_all_images_together() -> None:
    images = TEST.images.subset(torch.arange(45))
    assert images.domains is not None
    predicted = torch.randint(0, 4, (45,), generator=torch.Generator().manual_seed(2))
    hits = (predicted == images.labels).double()
    found = by_domain(predicted, images)
    each = [float(hits[images.domains == domain].mean()) for domain in (2, 3)]
    assert list(found) == ["fog", "night", "avg", "overall"]
    assert [found["fog"], found["night"]] == pytest.approx(each)
    assert found["avg"] == pytest.approx(sum(each) / 2)
    assert found["overall"] == pytest.approx(float(hits.mean()))
    assert found["overall"] != pytest.approx(found["avg"])


def test_nearest_neighbour_is_scikit_learns() -> None:
    theirs = KNeighborsClassifier(1, metric="cosine", algorithm="brute")
    theirs.fit(TRAIN.features.double().numpy(), TRAIN.images.labels.numpy())
    assert nearest_class(TRAIN, TEST.features).tolist() == theirs.predict(TEST.features.double().numpy()).tolist()


def test_the_probe_is_the_linear_probe_with_the_decay_that_is_best_on_validation() -> None:
    labelled = TRAIN.at(labelled_subset(TRAIN.images.labels, TRAIN.images.domains, 0.2))  # type: ignore[arg-type]  # set here
    decays = (1e-3, 1e-1, 10.0, 1e3)
    predicted, accuracy, decay = probe(labelled, VALIDATION, TEST.features, Udg(decays=decays))

    def alone(part: Featured, decay: float) -> float:
        given = problem(labelled.features, labelled.labels, part.features, part.labels, 4)
        return linear_probe(LinearProbe(decays=(decay,)), given, seed=0).accuracy

    by_decay = {candidate: alone(VALIDATION, candidate) for candidate in decays}
    assert accuracy == max(by_decay.values())
    assert decay == max(candidate for candidate in decays if by_decay[candidate] == accuracy)
    assert float((predicted == TEST.labels).double().mean()) == pytest.approx(alone(TEST, decay), abs=0.02)


def test_the_probe_beats() -> None:
    beats: list[int] = []
    udg(Udg(fractions=(0.01, 1.0), finetune_from=2.0), TRAIN, VALIDATION, TEST, Tunes(), lambda: beats.append(1))
    assert len(beats) > 2 * len(Udg().decays)  # a fit for each decay and fraction


def changed(part: Featured, labels: Tensor) -> Featured:
    return Featured(replace(part.images, labels=labels), part.features)


def test_target_labels_change_nothing_but_the_accuracies_on_the_target() -> None:
    options = Udg(fractions=(0.05, 0.2), finetune_from=2.0)
    metrics = udg(options, TRAIN, VALIDATION, TEST, Tunes())
    other = udg(options, TRAIN, VALIDATION, changed(TEST, labels=(TEST.labels + 1) % 4), Tunes())
    same = [key for key in metrics if key.split(".")[1] in ("validation", "decay", "labelled")]
    assert len(same) == 6
    assert {key: metrics[key] for key in same} == {key: other[key] for key in same}
    assert metrics["20.avg"] > other["20.avg"]


def test_images_without_label_are_left_out() -> None:
    tune, some = Tunes(), torch.arange(len(TEST.images)) % 3 > 0
    test = changed(TEST, labels=torch.where(some, TEST.labels, -1))
    train = changed(TRAIN, labels=torch.where(torch.arange(len(TRAIN.images)) % 4 > 0, TRAIN.labels, -1))
    metrics = udg(Udg(fractions=(0.01, 1.0)), train, VALIDATION, test, tune)
    kept = (train.labels >= 0).nonzero()[:, 0]
    expected = udg(Udg(fractions=(0.01, 1.0)), TRAIN.at(kept), VALIDATION, TEST.at(some.nonzero()[:, 0]), Tunes())
    assert metrics == expected
    assert len(tune.labelled[0]) == len(kept)


def test_refusals() -> None:
    with pytest.raises(InputError, match=r"(?s)no labelled target images.*Choose other data"):
        udg(Udg(), TRAIN, VALIDATION, changed(TEST, labels=torch.full_like(TEST.labels, -1)), Tunes())
    with pytest.raises(InputError, match="no domains"):
        udg(Udg(), TRAIN, VALIDATION, Featured(replace(TEST.images, domains=None), TEST.features), Tunes())
    named = replace(TEST.images, domain_names=(*DOMAINS[:3], "avg"))
    with pytest.raises(InputError, match="can't be called 'avg'"):
        udg(Udg(), TRAIN, VALIDATION, Featured(named, TEST.features), Tunes())
