"""Plug-ins in a folder of their own, forgotten after each test."""

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sslrun.recipe import plugins
from sslrun.recipe.schema import base
from sslrun.recipe.schema.base import definitions

EXAMPLES = Path(__file__).parent


class Forget(Exception):
    """Ends a test's definitions."""


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if Path(place or ".") != EXAMPLES])
    yield
    _forget(tmp_path)


def _forget(folder: Path) -> None:
    """All plug-ins, and what else has been imported from a test's folder."""
    for plugin in list(plugins._loaded.values()):
        with suppress(Forget), definitions(plugin.module):
            base._modules.remove(plugin.module)
            raise Forget
        del plugins._loaded[plugin.name]
        plugins._by_file.discard(plugin.name)
        for name in [name for name in sys.modules if f"{name}.".startswith(f"{plugin.module}.")]:
            del sys.modules[name]
    for name, module in list(sys.modules.items()):
        if folder in Path(getattr(module, "__file__", None) or "/").parents:
            del sys.modules[name]


@pytest.fixture
def forget(tmp_path: Path) -> Callable[[], None]:
    """What a new process would know of plug-ins: nothing."""
    return lambda: _forget(tmp_path)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a plug-in next to the recipes of a test."""

    def write(name: str, source: str) -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        return path

    return write
