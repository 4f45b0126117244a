import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslrun.errors import InputError, RunFailed
from sslrun.runs.history import History

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) or math.isinf(value) else value
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    return [without_nan(entry) for entry in value] if isinstance(value, list) else value


names = st.text(max_size=5).map("of a plug-in: {}".format)  # known signals are numbers, or lists of them


@given(rows=st.lists(st.dictionaries(names, values, max_size=4), min_size=1, max_size=4))
def test_rows_come_back_with_null_for_what_json_has_not(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    history = History(tmp_path_factory.mktemp("run") / "history.jsonl")
    rows = [{**row, "epoch": number} for number, row in enumerate(rows, 1)]
    for row in rows:
        history.append(row)
        assert history.last() == without_nan(row)
    assert history.read() == [without_nan(row) for row in rows]


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_half_a_line_is_passed_over_and_then_cut_off(tmp_path: Path, cut: int) -> None:
    history = History(tmp_path / "history.jsonl")
    for epoch in (1, 2, 3):
        history.append({"epoch": epoch, "loss": 1 / epoch})
    history.path.write_bytes(history.path.read_bytes()[:-cut])
    assert [row["epoch"] for row in history.read()] == [1, 2]
    last = history.last()
    assert last is not None
    assert last["epoch"] == 2
    history.append({"epoch": 3, "loss": 7.0})
    assert [row["epoch"] for row in history.read()] == [1, 2, 3]
    assert len(history.path.read_text().splitlines()) == 3


def test_no_epoch_is_doubled_after_a_resume(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.truncate_after(3)
    assert history.read() == []
    assert history.last() is None
    for epoch in range(1, 6):
        history.append({"epoch": epoch, "spectrum": [0.5, 0.25]})
    with history.path.open("a") as file:
        file.write('{"epoch": 6, "spec')
    history.truncate_after(5)
    assert history.path.read_text().count("\n") == 5 == len(history.path.read_text().splitlines())
    history.truncate_after(3)
    history.append({"epoch": 4})
    assert [row["epoch"] for row in history.read()] == [1, 2, 3, 4]
    history.truncate_after(0)
    assert history.read() == []
    assert [path.name for path in tmp_path.iterdir()] == ["history.jsonl"]


def test_the_last_row_is_found_however_long(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    long = {"epoch": 2, "spectrum": [1 / number for number in range(1, 20_000)]}
    for row in ({"epoch": 1}, long):
        history.append(row)
        size = {"size": pytest.approx(math.sqrt(np.mean(long["spectrum"])))} if row is long else {}  # as it is read
        assert history.last() == row | size
    history.append({"epoch": 3})
    assert history.last() == {"epoch": 3}


def test_damage_in_the_middle_is_named(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    foreign = ['{"epoch": "2"}', '{"epoch": 1}', '{"epoch": 2, "std": []}', '{"epoch": 2, "p": ["a"]}', '{"loss": 1}']
    for bad in ('{"epo', "[2]", "null", "\0" * 9, "[" * 100_000, *foreign):
        history.path.write_text(f'{{"epoch": 1}}\n{bad}\n{{"epoch": 3}}\n')
        assert [row["epoch"] for row in history.read()] == [1], bad
        where, why = history.damage() or ("", "")
        assert where == f"{history.path}:2" and why.startswith("damaged: ")
        assert history.damage(1) is None and history.damage(2) == (where, why)
        with pytest.raises(RunFailed, match=r"history\.jsonl:2: damaged: .*\n.*--fresh"):
            history.truncate_after(3)
    history.path.write_text('{"epoch": 1}\n{"epoch": 3}\n')
    assert history.damage() is None


def test_a_row_needs_its_epoch_and_plain_values(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    with pytest.raises(KeyError):
        history.append({"loss": 1.0})
    with pytest.raises(TypeError):
        history.append({"epoch": 1.5})
    with pytest.raises(TypeError):
        history.append({"epoch": 1, "loss": object()})
    assert not history.path.exists()
    assert json.dumps(history.read()) == "[]"


@pytest.mark.parametrize("text", ["not JSON", "[1]", "7"])
def test_a_last_line_that_is_no_row_is_named_with_its_file(text: str, tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.path.write_text(f'{{"epoch": 0}}\n{text}\n')
    with pytest.raises(InputError, match=r"history\.jsonl: damaged: "):
        history.last()
