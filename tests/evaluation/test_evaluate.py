"""One entry for all evaluations: their metrics, ready for JSON, from the recipe's sections."""

import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from sslrun.errors import InputError
from sslrun.evaluation import Subject, evaluate
from sslrun.evaluation.authors_probe import authors_probe
from sslrun.evaluation.knn import knn_accuracy
from sslrun.evaluation.linear import linear_probe
from sslrun.evaluation.problem import Problem, problem
from sslrun.recipe.schema import AuthorsProbe, Knn, LinearProbe
from sslrun.recipe.schema.base import defined
from sslrun.recipe.schema.judging import EvaluationSection


def features() -> Problem:
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(0, 4, (260,), generator=generator)
    h = torch.randn((260, 8), generator=generator) + 2 * torch.nn.functional.one_hot(y, 8)
    return problem(h[:160], y[:160], h[160:], y[160:], 4)


def subject(beat: Callable[[], None] = lambda: None) -> Subject:
    """What evaluations of frozen features ask of a subject."""
    return SimpleNamespace(problem=features(), recipe=SimpleNamespace(seed=5), beat=beat)  # type: ignore[return-value]


def test_each_kind_is_its_judge_with_the_sections_settings() -> None:
    given = features()
    knn = evaluate(Knn(k=3, temperature=0.2), subject())
    accuracy = knn_accuracy(Knn(k=3, temperature=0.2), given)
    error = (accuracy * (1 - accuracy) / len(given.test)) ** 0.5  # of a proportion
    assert knn == {"accuracy": accuracy, "standard_error": pytest.approx(error)}

    linear = evaluate(LinearProbe(decays=(0.1, 0.01)), subject())
    direct = linear_probe(LinearProbe(decays=(0.1, 0.01)), given, seed=5)
    assert list(linear) == ["accuracy", "train_accuracy", "decay", "held_out", "converged", "standard_error"]
    assert linear["accuracy"] == direct.accuracy > 0.6
    assert linear["held_out"] == {"0.1": direct.held_out[0.1], "0.01": direct.held_out[0.01]}

    authors = evaluate(AuthorsProbe(epochs=3, lr=0.01), subject())
    expected = authors_probe(AuthorsProbe(epochs=3, lr=0.01), given, seed=5)
    assert list(authors) == ["last", "best_on_test", "per_epoch"]
    assert authors["last"] == expected.last
    assert authors["best_on_test"] == expected.best_on_test
    assert authors["per_epoch"] == list(expected.per_epoch)
    json.dumps([knn, linear, authors], allow_nan=False)


@pytest.mark.parametrize("section", [LinearProbe(decays=(0.1,)), AuthorsProbe()])
def test_probes_beat(section: EvaluationSection) -> None:
    beats: list[int] = []
    evaluate(section, subject(lambda: beats.append(1)))
    assert len(beats) > 5


def test_every_section_has_what_computes_it_and_its_columns_are_its_metrics() -> None:
    for section in defined(EvaluationSection):
        assert evaluate.dispatch(section) is not evaluate.dispatch(object)
        assert section.NAME == "analyses" or set(section.COLUMNS) <= set(section.METRICS)
    with pytest.raises(InputError, match="nothing computes the evaluation 'none'"):
        evaluate(SimpleNamespace(NAME="none"), subject())  # type: ignore[arg-type]
