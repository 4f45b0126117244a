"""Names of evaluations and of their numbers: what is written is what is read, and as users know it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslrun.runs.cells import BASELINES, CellName, Number

KINDS = st.from_regex(r"[a-z][a-z_]{0,11}", fullmatch=True)
NAMES = st.builds(CellName, KINDS, st.none() | st.integers(0, 10**6))
METRICS = st.from_regex(r"[a-z0-9_]{1,8}(\.[a-z0-9_]{1,8}){0,2}", fullmatch=True).filter(
    lambda metric: metric.partition(".")[0] not in BASELINES
)


@given(NAMES)
def test_a_name_is_read_as_it_was_written(name: CellName) -> None:
    assert CellName.parse(str(name)) == name


@given(NAMES, METRICS, st.none() | st.sampled_from(BASELINES))
def test_a_number_is_found_by_its_key_and_its_signal(name: CellName, metric: str, baseline: str | None) -> None:
    number = Number(name.kind, name.epoch, metric, baseline)
    assert Number.of_key(name, number.key) == number
    assert Number.of_signal(number.signal) == Number(name.kind, None, metric, baseline)


@pytest.mark.parametrize(
    ("number", "column"),
    [
        (Number("knn"), "knn"),
        (Number("knn", 100, baseline="untrained"), "untrained.knn@100"),
        (Number("linear", metric="train_accuracy", baseline="pixels"), "pixels.linear.train_accuracy"),
        (Number("udg", 20, "1.avg", settings="fold=1"), "udg[fold=1]@20.1.avg"),
    ],
)
def test_columns_are_called_so(number: Number, column: str) -> None:
    assert str(number) == column


def test_a_signal_of_training_is_no_number_of_an_evaluation() -> None:
    assert Number.of_signal("std") is None
    assert Number.of_signal("probe.knn.accuracy") == Number("knn")
    with pytest.raises(ValueError, match="x"):
        CellName.parse("knn@x")
