"""Decays that were chosen at the edge of their range are named; level ones, and single ones, are not."""

import pytest

from sslrun.report.summary import edge_note, edges
from sslrun.runs.records import EvaluationRecord


def cell(kind: str, settings: dict[str, object], **metrics: object) -> EvaluationRecord:
    named = {name.replace("_dot_", "."): value for name, value in metrics.items()}
    return EvaluationRecord(kind=kind, identity="a", settings=settings, metrics=named)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "decays"),
    [
        (cell("linear", {}, decay=0.1, held_out={"0.1": 0.9, "0.01": 0.8}), [0.1]),  # of the defaults
        (cell("linear", {}, decay=0.1, held_out={"0.1": 0.9, "0.01": 0.9}), []),  # level: the largest is taken
        (cell("linear", {}, decay=1e-5, held_out={"1e-05": 0.9, "0.0001": 0.8}), [1e-5]),
        (cell("linear", {}, decay=0.001, held_out={"0.001": 0.9, "0.01": 0.8}), []),
        (cell("linear", {"decays": [0.1, 1.0]}, decay=0.1, held_out={"0.1": 0.9, "1": 0.8}), [0.1]),
        (cell("linear", {"decays": [0.1]}, decay=0.1, held_out={}), []),
        (cell("udg", {}, **{"1_dot_decay": 1.0, "5_dot_decay": 0.01, "untrained_dot_1_dot_decay": 1.0}), [1.0]),
        (cell("knn", {}, accuracy=1.0), []),
    ],
)
def test_choices_at_an_edge(found: EvaluationRecord, decays: list[float]) -> None:
    chosen = list(edges([found]))
    assert [decay for _, _, decay in chosen] == decays
    note = edge_note(chosen)
    assert note is None if not decays else note is not None and f"evaluation.{found.kind}.decays" in note
