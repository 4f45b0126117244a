"""Fixtures of the data tests; `tiny_data` writes the data sets."""

from pathlib import Path

import pytest
from tiny_data import Written, write_stl10


@pytest.fixture
def stl10(tmp_path: Path) -> Written:
    return write_stl10(tmp_path)
