"""One entry for all evaluations: their metrics, ready for JSON, from the recipe's sections."""

import json

import pytest
import torch
from torch import Tensor

from sslrun.errors import InputError
from sslrun.evaluation import evaluate
from sslrun.evaluation.authors_probe import authors_probe
from sslrun.evaluation.knn import knn_accuracy
from sslrun.evaluation.linear import linear_probe
from sslrun.recipe.schema import AuthorsProbe, Knn, LinearProbe


def features() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(0, 4, (260,), generator=generator)
    h = torch.randn((260, 8), generator=generator) + 2 * torch.nn.functional.one_hot(y, 8)
    return h[:160], y[:160], h[160:], y[160:]


def test_each_kind_is_its_judge_with_the_sections_settings() -> None:
    given = features()
    knn = evaluate("knn", Knn(k=3, temperature=0.2), *given, classes=4, seed=5)
    assert knn == {"accuracy": knn_accuracy(*given, k=3, temperature=0.2, classes=4)}

    linear = evaluate("linear", LinearProbe(decays=(0.1, 0.01)), *given, classes=4, seed=5)
    direct = linear_probe(*given, classes=4, decays=(0.1, 0.01), held_out=0.2, iterations=500, seed=5)
    assert list(linear) == ["accuracy", "train_accuracy", "decay", "held_out", "converged"]
    assert linear["accuracy"] == direct.accuracy > 0.6
    assert linear["held_out"] == {"0.1": direct.held_out[0.1], "0.01": direct.held_out[0.01]}

    authors = evaluate("authors_probe", AuthorsProbe(epochs=3, lr=0.01), *given, classes=4, seed=5)
    expected = authors_probe(*given, classes=4, epochs=3, lr=0.01, seed=5)
    assert authors["last"] == expected.last
    assert authors["best_on_test"] == expected.best_on_test
    assert authors["per_epoch"] == list(expected.per_epoch)
    json.dumps([knn, linear, authors], allow_nan=False)


@pytest.mark.parametrize(
    ("kind", "section"), [("linear", LinearProbe(decays=(0.1,))), ("authors_probe", AuthorsProbe())]
)
def test_probes_beat(kind: str, section: LinearProbe | AuthorsProbe) -> None:
    beats: list[int] = []
    evaluate(kind, section, *features(), classes=4, seed=5, beat=lambda: beats.append(1))
    assert len(beats) > 5


def test_unknown_kind() -> None:
    with pytest.raises(InputError, match="knm"):
        evaluate("knm", Knn(), *features(), classes=4, seed=0)
