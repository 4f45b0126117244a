"""One evaluation of frozen features, by the recipe's section: what `jobs` calls and keeps as a cell of a run.

The judges are knn.py, linear.py and authors_probe.py; the features come from features.py.
"""

from collections.abc import Callable

from torch import Tensor

from sslrun.errors import InputError
from sslrun.evaluation.authors_probe import authors_probe
from sslrun.evaluation.knn import knn_accuracy
from sslrun.evaluation.linear import linear_probe
from sslrun.recipe.schema import AuthorsProbe, Knn, LinearProbe
from sslrun.recipe.schema.base import Section

Metrics = dict[str, float | bool | list[float] | dict[str, float]]


def evaluate(
    kind: str,
    section: Section,
    train_ND: Tensor,
    train_labels_N: Tensor,
    test_ND: Tensor,
    test_labels_N: Tensor,
    classes: int,
    seed: int,
    beat: Callable[[], None] = lambda: None,
) -> Metrics:
    """The metrics of cell `kind` (`knn`, `linear`, `authors_probe`), ready for JSON; accuracies are parts of 1.

    `knn`: accuracy. `linear`: accuracy, train_accuracy, decay, held_out (accuracy by decay), converged.
    `authors_probe`: last, best_on_test, per_epoch. All call `beat` as they go. Raises `InputError` or `RunFailed`
    as the judges do.
    """
    features = (train_ND, train_labels_N, test_ND, test_labels_N)
    if kind == "knn" and isinstance(section, Knn):
        return {"accuracy": knn_accuracy(*features, classes=classes, beat=beat, **section.model_dump())}
    if kind == "linear" and isinstance(section, LinearProbe):
        linear = linear_probe(*features, classes=classes, seed=seed, beat=beat, **section.model_dump())
        return {
            "accuracy": linear.accuracy,
            "train_accuracy": linear.train_accuracy,
            "decay": linear.decay,
            "held_out": {f"{decay:g}": accuracy for decay, accuracy in linear.held_out.items()},
            "converged": linear.converged,
        }
    if kind == "authors_probe" and isinstance(section, AuthorsProbe):
        authors = authors_probe(*features, classes=classes, seed=seed, beat=beat, **section.model_dump())
        return {
            "last": authors.last,
            "best_on_test": authors.best_on_test,
            "per_epoch": list(authors.per_epoch),
        }
    raise InputError(
        f"there is no evaluation {kind!r} with a section {type(section).__name__}",
        remedy="Evaluations are knn, linear and authors_probe.",
    )
