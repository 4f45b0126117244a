"""What an evaluation's section tells the rest of the package of its kind."""

import pytest

from sslrun.recipe.schema import Analyses, AuthorsProbe, Knn, LinearProbe, Udg
from sslrun.recipe.schema.base import defined, definitions
from sslrun.recipe.schema.judging import EvaluationSection

COUNT = {"train": 100, "validation": 20, "test": 30}


def test_only_fine_tuning_passes_images_through_the_encoder_again() -> None:
    for section in (Knn(), LinearProbe(), AuthorsProbe(), Analyses(), Udg(fractions=(0.05,)), Udg(finetune_from=2.0)):
        assert section.passes(COUNT) == 0
    # Of 50 labelled images six batches of 8, three passes an image; then the other splits.
    tuned = Udg(fractions=(0.05, 0.5), epochs=2, batch_size=8, least_steps=3)
    assert tuned.passes(COUNT) == 2 * (3 * 48 + 20) + 30
    few = Udg(fractions=(0.1,), epochs=1, batch_size=64, least_steps=10)  # one batch of all 10, ten times
    assert few.passes(COUNT) == 3 * 10 * 10 + 20 + 30


def test_what_is_unseen_chooses_nothing() -> None:
    assert LinearProbe().choosing(unseen=False) == ("accuracy", "train_accuracy")
    assert AuthorsProbe().choosing(unseen=False) == ("last", "best_on_test")
    assert [section.choosing(unseen=True) for section in (Knn(), LinearProbe(), AuthorsProbe())] == [()] * 3
    assert Udg(fractions=(0.005, 0.07)).choosing(unseen=True) == ("0.5.validation", "7.validation")


def test_a_baseline_is_asked_what_its_numbers_depend_on() -> None:
    section = Udg(fractions=(0.05, 1.0), finetune_from=0.3, epochs=3)
    assert section.of_baseline("untrained") == Udg(fractions=(0.05, 1.0), finetune_from=0.0, epochs=3)
    assert section.of_baseline("pixels") == Udg()
    assert section.views_of_baseline("untrained") == ("size", "normalize", "crop", "flip")
    assert section.views_of_baseline("pixels") == ("size", "normalize")
    assert Knn(k=9).of_baseline("pixels") == Knn(k=9)
    assert Knn().views_of_baseline("untrained") == ("size", "normalize")


def test_udg_alone_is_too_slow_for_every_epoch() -> None:
    assert [section.NAME for section in defined(EvaluationSection) if not section.FROZEN] == ["udg"]


def test_a_kind_that_names_no_column_shows_its_accuracy() -> None:
    class Forget(Exception):
        pass

    with pytest.raises(Forget), definitions("here"):

        class Plain(EvaluationSection):
            NAME = "plain_one"

        assert Plain.COLUMNS == {"accuracy": "plain one"}
        assert Plain().choosing(unseen=False) == ("accuracy",)
        raise Forget
