"""Recipes of runs from before there was an option: read as what was done then, under the identity that they have."""

import re
from pathlib import Path

import pytest

from sslrun.recipe import read_recipe, to_yaml
from sslrun.recipe.identity import identity
from sslrun.runs.folder import create
from sslrun.runs.table import load_runs


def without_views(text: str) -> str:
    """As it was written out when methods had no `views`."""
    section = re.search(r"^method:\n(?:  .*\n)+", text, re.MULTILINE)
    assert section is not None and "  views: together\n" in section[0]
    return text.replace(section[0], section[0].replace("  views: together\n", ""))


@pytest.mark.parametrize("method", ["{kind: simclr}", "{kind: swav, prototypes: 30}"])
def test_a_kept_run_is_what_it_was_and_a_recipe_that_says_nothing_is_as_published(method: str, tmp_path: Path) -> None:
    now = read_recipe("quickstart", [f"method={method}"])
    before = read_recipe("quickstart", [f"method={method}", "method.views=apart"])
    text = without_views(to_yaml(now))
    folder = create(tmp_path / "results", "quickstart", identity(before, "d" * 64), text)
    assert read_recipe(folder.recipe) == before
    assert load_runs(tmp_path / "results")["method.views"].tolist() == ["apart"]
    (tmp_path / "mine.yaml").write_text(text)
    assert read_recipe(tmp_path / "mine.yaml").method == now.method
    assert identity(now, "d" * 64) != identity(before, "d" * 64)
