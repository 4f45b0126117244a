"""What a style can do, told before training: where the answer is known, and against measures written anew."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sslrun.data import open_dataset
from sslrun.evaluation.style_measures import StyleMeasures, colours, match, measure_style, neighbours_right, traces
from sslrun.recipe import read_recipe
from sslrun.recipe.schema import Recipe


def measured(recipe: Recipe, folder: Path):  # type: ignore[no-untyped-def]
    return measure_style(recipe, open_dataset(recipe.data, folder))


@pytest.mark.parametrize("kind", ["digits_casts", "digits_lenses"])
def test_where_styles_are_amplitudes_bss_hides_the_domain_closes_the_shortcut_and_would_help(
    kind: str, tmp_path: Path
) -> None:
    found = measured(read_recipe("bss/digits_casts", [f"data={{kind: {kind}, held_out: [plum]}}"]), tmp_path)
    assert found.told is not None and found.unseen is not None
    assert found.told["none"] > 0.9 and found.told["BSS"] < 0.5 and found.told_chance == pytest.approx(1 / 3)
    assert found.matched["none"] > 0.9 and found.matched["BSS"] < 0.1 and found.matched_chance == 1 / 128
    assert found.unseen[1] > found.unseen[0] + 0.1
    assert found.warnings() == []


def test_drawn_styles_cannot_show_it_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = measured(read_recipe("bss/digits_styles"), tmp_path)
    assert found.told is not None and found.told["BSS"] > 0.9
    assert len(found.warnings()) == 3
    monkeypatch.setenv("COLUMNS", "80")
    title = f"what a style can do here, by the views of {'r' * 30}"
    found.show(title)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == title and lines[2].split() == [
        "none",
        "FA",
        "BSS",
        "chance",
    ]  # a name's length makes no column wide
    monkeypatch.delenv("COLUMNS")
    found.show()
    said = capsys.readouterr().out
    assert "domain told inside one view" in said and "class right, neon unseen   0.18" in said
    assert "note: BSS leaves the domains told" in said


def test_without_a_style_it_is_measured_what_one_could_do_in_full(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the recipe's own styles do it, which have ratio 1; and that is said, of such a recipe alone."""
    bare = measured(read_recipe("bss/digits_casts", ["views.style.kind=none"]), tmp_path)
    whole = measured(read_recipe("bss/digits_casts"), tmp_path)
    assert bare == replace(whole, in_full=True) and bare.warnings() == []
    for found in (bare, whole):
        found.show()
        assert ("in full, at ratio 1" in capsys.readouterr().out) == found.in_full


def test_images_of_one_domain_are_only_matched(tmp_path: Path) -> None:
    found = measured(read_recipe("quickstart", ["views.style={kind: bss}"]), tmp_path)
    assert found.told is None and found.unseen is None
    assert set(found.matched) == {"none", "FA", "BSS"}


def test_the_measures_against_numpy() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((6, 3, 16, 16), generator=generator)
    assert np.allclose(colours(x)[:, :3], x.numpy().mean((2, 3)), atol=1e-6)
    assert np.allclose(colours(x)[:, 3:], x.numpy().std((2, 3)), atol=1e-6)
    amplitudes = np.log(np.abs(np.fft.rfft2(x.double().numpy())))
    assert np.allclose(traces(x)[:, 6:], amplitudes.reshape(6, -1), atol=1e-3)
    large = torch.rand(2, 3, 48, 48, generator=generator)
    pooled = torch.from_numpy(large.numpy().reshape(2, 3, 16, 3, 16, 3).mean((3, 5)))
    torch.testing.assert_close(traces(large), traces(pooled), rtol=1e-4, atol=1e-4)
    one, other = torch.randn((2, 9, 4), generator=generator)
    spread = np.concatenate([one, other]).std(0, ddof=1)
    apart = np.linalg.norm((one.numpy() / spread)[:, None] - (other.numpy() / spread)[None], axis=-1)
    assert match(one, other) == pytest.approx(np.mean(apart.argmin(1) == np.arange(9)))
    assert match(one, one) == 1
    labels, source_labels = torch.arange(9) % 3, torch.arange(7) % 3
    sources = torch.randn((7, 4), generator=generator)
    likeness = np.corrcoef(np.concatenate([one, sources]))[:9, 9:]
    right = np.mean(source_labels.numpy()[likeness.argmax(1)] == labels.numpy())
    assert neighbours_right(one, labels, sources, source_labels) == pytest.approx(right)


def test_warnings_are_of_what_is_clearly_so() -> None:
    def said(
        matched: float = 0.5, told: tuple[float, float] = (0.9, 0.3), unseen: tuple[float, float] = (0.4, 0.5)
    ) -> int:
        none, bss = told
        measures = StyleMeasures({"none": matched}, 0.01, {"none": none, "BSS": bss}, 0.25, unseen)
        return len(measures.warnings())

    assert said() == said(matched=0.1) == said(told=(0.75, 0.5)) == said(told=(0.45, 0.44)) == 0
    assert said(matched=0.09) == said(told=(0.75, 0.51)) == said(unseen=(0.5, 0.5)) == 1


def test_small_views_are_no_part_of_it(tmp_path: Path) -> None:
    given = ["data.limit=64", "training.batch_size=64", "method={kind: swav, prototypes: 8}", "views.size=16"]
    whole = measured(read_recipe("bss/digits_casts", given), tmp_path)
    with_small = measured(read_recipe("bss/digits_casts", [*given, "views.small={count: 2, size: 8}"]), tmp_path)
    assert with_small == whole and whole.matched_chance == 1 / 63


def test_one_source_domain_is_not_told_from_others(tmp_path: Path) -> None:
    recipe = read_recipe("bss/digits_casts", ["data.held_out=[dusk, ember, moss]"])
    found = measured(recipe, tmp_path)
    assert found.told is None and found.told_chance == 1
    assert found.unseen is not None and found.held_out == ("dusk", "ember", "moss")
