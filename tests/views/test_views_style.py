"""Fourier styles: against the definition in NumPy, by their properties.

Every property holds for both ways to compute: the fixture `both_ways` forces matrix products, then transforms.
"""

from itertools import pairwise
from typing import Annotated

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from sslrun.errors import InputError, RecipeError
from sslrun.recipe import read_recipe
from sslrun.recipe.schema.style import BatchStyle, Style
from sslrun.views import per_image, spectrum
from sslrun.views.spectrum import HalfPlane, LowBins, WindowKind, spectrum_for, window_of
from sslrun.views.style import (
    draw_style,
    standardize,
    standardize_textbook,
)

SIZES = [(15, 15), (16, 16), (17, 17), (31, 31), (32, 32), (17, 24), (225, 223)]
RATIOS = [0.001, 0.01, 0.05, 0.2, 0.6, 1.0]
WINDOWS: list[WindowKind] = ["half", "area"]
EXACT = 1e-10  # float64


@pytest.fixture(params=["products", "transforms"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrum, "LOW_PART", 0.49 if request.param == "products" else 0.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 5, size: tuple[int, int] = (24, 17), channels: int = 3, seed: int = 0) -> Tensor:
    """Noise over smooth images of different brightness, in [0, 1], float64."""
    noise = torch.rand(n, channels, *size, generator=generator(seed), dtype=torch.float64)
    smooth = torch.nn.functional.interpolate(noise[..., :3, :3], size=size, mode="bilinear", align_corners=True)
    return smooth * 0.7 + noise * 0.2


def largest(difference: Tensor) -> float:
    return float(difference.abs().max())


def indicator(size: tuple[int, int], ratio: float, window: str) -> np.ndarray:
    """The window in the shifted layout, index by index as it is defined, brought to the unshifted one."""
    inside = np.zeros(size)
    height, width = size
    if ratio <= 0:
        return inside
    if window == "half":
        b_h, b_w = (int(np.floor(side * np.sqrt(ratio) / 2 + 1e-9)) for side in size)
        inside[max(height // 2 - b_h, 0) : height // 2 + b_h + 1, max(width // 2 - b_w, 0) : width // 2 + b_w + 1] = 1
    else:
        h, w = (min(side, int(np.floor(side * np.sqrt(ratio) + 1e-9))) for side in size)
        top, left = height // 2 - h // 2, width // 2 - w // 2
        inside[top : top + h, left : left + w] = 1
    return np.asarray(np.fft.ifftshift(inside))


def by_definition(x: np.ndarray, ratio: float, reference: int, window: str) -> np.ndarray:
    spectrum_ = np.fft.fft2(x)
    amplitudes, phases = np.abs(spectrum_), np.angle(spectrum_)
    inside = indicator((x.shape[-2], x.shape[-1]), ratio, window)
    replaced = amplitudes + inside * (amplitudes[reference] - amplitudes)
    return np.asarray(np.fft.ifft2(replaced * np.exp(1j * phases)).real)


def share(size: tuple[int, int], ratio: float, window: str) -> Tensor:
    """w(k) = (M(k) + M(−k)) / 2 on the whole plane."""
    inside = indicator(size, ratio, window)
    rows, columns = -np.arange(size[0]) % size[0], -np.arange(size[1]) % size[1]
    return torch.from_numpy((inside + inside[rows][:, columns]) / 2)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("size", SIZES)
def test_equals_the_definition_and_the_textbook_form(
    size: tuple[int, int], window: WindowKind, both_ways: None
) -> None:
    for channels in (1, 3) if size[0] < 100 else (1,):
        x = pictures(2, size, channels)
        for ratio in [-1.0, 0.0, *RATIOS]:
            defined = torch.from_numpy(by_definition(x.numpy(), ratio, 1, window))
            assert largest(standardize(x, ratio, 1, window, clamp=False) - defined) < EXACT
            assert largest(standardize_textbook(x, ratio, 1, window, clamp=False) - defined) < EXACT
            assert largest(standardize(x, ratio, 1, window) - defined.clamp(0, 1)) < EXACT


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(2, 40),
    width=st.integers(2, 40),
    ratio=st.floats(0, 1),
    window=st.sampled_from(WINDOWS),
    low_part=st.sampled_from([0.0, 0.49]),
)
def test_equals_the_definition_for_any_size_and_ratio(
    height: int, width: int, ratio: float, window: WindowKind, low_part: float
) -> None:
    x = pictures(4, (height, width), 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spectrum, "LOW_PART", low_part)
        styled = standardize(x, ratio, 2, window, clamp=False)
    assert largest(styled - torch.from_numpy(by_definition(x.numpy(), ratio, 2, window))) < EXACT


@pytest.mark.parametrize("side", [32, 96, 225])
def test_float32_is_close_to_float64(side: int) -> None:
    x = pictures(4, (side, side))
    for ratio in (0.003, 0.02, 0.1, 0.5, 1.0):
        assert largest(standardize(x.float(), ratio, 2) - standardize_textbook(x, ratio, 2)) < 2e-5


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("window", WINDOWS)
def test_the_reference_and_a_batch_of_one_stay(ratio: float, window: WindowKind, both_ways: None) -> None:
    x = pictures()
    for clamp in (False, True):
        assert largest(standardize(x, ratio, 3, window, clamp)[3] - x[3]) < EXACT
        assert largest(standardize(x[:1], ratio, 0, window, clamp) - x[:1]) < EXACT


def test_ratio_zero_is_the_identity_in_new_memory() -> None:
    x = pictures().to(memory_format=torch.channels_last)
    for ratio in (0.0, -0.5):
        styled = standardize(x, ratio, 1)
        assert torch.equal(styled, x)
        assert styled.data_ptr() != x.data_ptr()
        assert styled.is_contiguous()
    beyond = 2 * x
    assert torch.equal(standardize(beyond, 0.0, 1), beyond.clamp(0, 1))
    assert torch.equal(standardize(beyond, 0.0, 1, clamp=False), beyond)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("size", [(24, 17), (16, 16)])
def test_phases_stay_and_amplitudes_are_replaced(
    size: tuple[int, int], ratio: float, window: WindowKind, both_ways: None
) -> None:
    x = pictures(5, size)
    before, after = torch.fft.fft2(x), torch.fft.fft2(standardize(x, ratio, 3, window, clamp=False))
    expected = before.abs() + share(size, ratio, window) * (before.abs()[3] - before.abs())
    assert largest(after.abs() - expected) < EXACT
    seen = torch.minimum(before.abs(), after.abs()) > 1e-6 * before.abs().max()
    assert largest((torch.sgn(after) - torch.sgn(before))[seen]) < EXACT


def test_the_whole_window_gives_mean_and_deviation_any_window_the_mean(both_ways: None) -> None:
    x = pictures()
    for window in WINDOWS:
        for ratio in (0.005, 0.04, 0.3, 1.0):
            styled = standardize(x, ratio, 4, window, clamp=False)
            assert largest(styled.mean((2, 3)) - x[4].mean((1, 2))) < EXACT
            if ratio == 1:
                assert largest(styled.std((2, 3)) - x[4].std((1, 2))) < EXACT


def test_a_black_channel_takes_the_mean_too(both_ways: None) -> None:
    x = pictures()
    x[1, 2] = 0
    styled = standardize(x, 0.05, 4, clamp=False)
    assert largest(styled.mean((2, 3)) - x[4].mean((1, 2))) < EXACT


def test_is_not_the_batch_mean_of_amplitudes() -> None:
    x = pictures()
    before, after = torch.fft.fft2(x).abs(), torch.fft.fft2(standardize(x, 0.1, 2, clamp=False)).abs()
    inside = share((24, 17), 0.1, "half").bool()
    assert largest((after - before)[..., ~inside]) < EXACT
    assert largest((after - before[2])[..., inside]) < EXACT
    assert largest((after - before.mean(0))[..., inside]) > 0.1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_keeps_dtype_and_input_and_takes_no_gradient(dtype: torch.dtype, both_ways: None) -> None:
    x = pictures().to(dtype).requires_grad_()
    kept = x.detach().clone()
    for reference in (1, [4, 3, 2, 1, 0]):
        styled = standardize(x, 0.1, reference)
        assert styled.dtype == dtype and styled.device == x.device and styled.is_contiguous()
        assert not styled.requires_grad and styled.grad_fn is None
        assert torch.equal(x, kept)
        working = torch.float64 if dtype == torch.float64 else torch.float32
        assert torch.equal(styled, standardize(x.detach().to(working), 0.1, reference).to(dtype))


@pytest.mark.parametrize("size", SIZES)
def test_the_half_window_is_symmetric(size: tuple[int, int]) -> None:
    for ratio in RATIOS:
        for side, inside in zip(size, window_of(size, ratio, "half"), strict=True):
            assert {-k % side for k in inside} == {k % side for k in inside}


@pytest.mark.parametrize(
    ("side", "sides"),
    [
        (32, [1, 2, 3, 4, 7, 10, 16, 22]),
        (64, [2, 4, 6, 9, 14, 20, 32, 45]),
        (96, [3, 6, 9, 13, 21, 30, 48, 67]),
        (128, [4, 9, 12, 18, 28, 40, 64, 90]),
        (224, [7, 15, 22, 31, 50, 70, 112, 158]),
    ],
)
def test_sides_of_the_windows(side: int, sides: list[int]) -> None:
    for ratio, expected in zip([0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5], sides, strict=True):
        rows, columns = window_of((side, 2 * side), ratio, "area")
        assert (len(rows), len(columns)) == (expected, int(2 * side * ratio**0.5 + 1e-9))
        assert len(window_of((side, side), ratio, "half")[0]) == 2 * int(ratio**0.5 * side / 2 + 1e-9) + 1
    assert [len(axis) for axis in window_of((side, side), 1.0, "half")] == [side, side]


def test_twice_is_once_but_not_for_an_even_area(both_ways: None) -> None:
    x = pictures(size=(32, 32))
    for ratio in RATIOS:
        once = standardize(x, ratio, 1, clamp=False)
        assert largest(standardize(once, ratio, 1, clamp=False) - once) < EXACT
    once = standardize(x, 0.1, 1, "area", clamp=False)  # a side of 10
    assert largest(standardize(once, 0.1, 1, "area", clamp=False) - once) > 1e-3


def test_moves_with_its_images(both_ways: None) -> None:
    """Permutation, scale, circular shifts and mirroring of the images do the same to the output."""
    x, ratio = pictures(), 0.1
    styled = standardize(x, ratio, 2, clamp=False)
    order = torch.tensor([3, 0, 4, 2, 1])
    assert torch.equal(standardize(x[order], ratio, 3, clamp=False), styled[order])
    assert largest(standardize(7.5 * x, ratio, 2, clamp=False) - 7.5 * styled) < EXACT
    shifted = standardize(x.roll((3, 5), (2, 3)), ratio, 2, clamp=False)
    assert largest(shifted - styled.roll((3, 5), (2, 3))) < EXACT
    for axes in ([2], [3], [2, 3]):
        assert largest(standardize(x.flip(axes), ratio, 2, clamp=False) - styled.flip(axes)) < EXACT
    x[2] = x[2].roll((4, 1), (1, 2))
    others = [0, 1, 3, 4]
    assert largest(standardize(x, ratio, 2, clamp=False)[others] - styled[others]) < EXACT


@pytest.mark.parametrize("ratio", [0.02, 0.7])
def test_any_memory_layout_and_autocast(ratio: float) -> None:
    x = pictures(40, (40, 40)).float()
    plain = standardize(x, ratio, 1)
    assert torch.equal(standardize(x.to(memory_format=torch.channels_last), ratio, 1), plain)
    assert torch.equal(standardize(x.mT.contiguous().mT, ratio, 1), plain)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(standardize(x, ratio, 1), plain)
        assert torch.equal(standardize(x, ratio, list(range(40))), standardize(x, ratio, torch.arange(40)))
    assert largest(standardize(x, ratio, torch.arange(40)) - x) < 2e-5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("ratio", [0.02, 0.7])
def test_cuda_equals_cpu_without_waiting(ratio: float) -> None:
    x = pictures(16, (33, 40)).float()
    partners = torch.randint(16, (16,), generator=generator())
    ratios = torch.rand(16, generator=generator())
    on_cuda = x.cuda()
    arguments: list[tuple[float | Tensor, int | Tensor]] = [(ratio, 3), (ratios, partners)]
    for some_ratio, reference in arguments:
        standardize(on_cuda, some_ratio, reference)  # makes the plans and the windows
        torch.cuda.set_sync_debug_mode("error")
        try:
            styled = standardize(on_cuda, some_ratio, reference)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert largest(styled.cpu() - standardize(x, some_ratio, reference)) < 2e-5


@pytest.mark.parametrize("window", WINDOWS)
def test_partners_are_each_their_own_batch_style(
    window: WindowKind, both_ways: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = pictures(40, (33, 40), 3)
    monkeypatch.setattr(per_image, "CHUNK_VALUES", 50_000)  # several parts
    partners = torch.randint(40, (40,), generator=generator(1))
    ratios = torch.rand(40, generator=generator(2), dtype=torch.float64)
    ratios[::5] = 0
    if spectrum.LOW_PART:
        ratios *= 0.5
    styled = standardize(x, ratios, partners, window)
    for i in range(40):
        alone = standardize_textbook(x, float(ratios[i]), int(partners[i]), window)[i]
        assert largest(styled[i] - alone) < EXACT
    one = standardize(x, 0.1, 7, window)
    assert largest(standardize(x, 0.1, [7] * 40, window) - one) < EXACT
    assert largest(standardize(x, [0.1] * 40, 7, window) - one) < EXACT
    assert largest(standardize(x, ratios, torch.arange(40), window) - x) < EXACT


def test_flat_images_are_finite(both_ways: None) -> None:
    for value in (0.0, 0.3, 1.0):
        x = pictures().float()
        x[1] = value
        for reference in (1, 2, [2, 0, 1, 1, 4]):
            assert standardize(x, 0.1, reference).isfinite().all()
        # A flat reference leaves nothing of the low frequencies but their mean.
        low = torch.fft.fft2(standardize(x, 0.1, 1, clamp=False)).abs()[..., share((24, 17), 0.1, "half").bool()]
        assert largest(low[..., 1:]) < 1e-2 and largest(low[..., 0] - value * 24 * 17) < 1e-2


def test_the_way_is_chosen_by_size_ratio_and_precision() -> None:
    def way(ratio: float) -> type:
        size = (96, 96)
        return type(spectrum_for(size, [window_of(size, ratio, "half")], torch.float32, torch.device("cpu")))

    assert way(0.1) is LowBins
    assert way(0.9) is HalfPlane
    torch.set_float32_matmul_precision("medium")
    try:
        assert way(0.1) is HalfPlane
    finally:
        torch.set_float32_matmul_precision("highest")


def test_wrong_input_is_refused() -> None:
    x = pictures()
    wrong: list[tuple[Tensor, object, object, str]] = [
        ((x * 255).byte(), 0.1, 0, "uint8"),
        (x[0], 0.1, 0, "N, C, H, W"),
        (x, 0.1, 5, "no image 5"),
        (x, 0.1, -1, "no image -1"),
        (x, 1.5, 0, "1.5"),
        (x, float("nan"), 0, "nan"),
        (x, [0.1, 0.2], 0, "2 values for 5"),
        (x, 0.1, [0, 1], "2 values for 5"),
    ]
    for images, ratio, reference, message in wrong:
        with pytest.raises(InputError, match=message):
            standardize(images, ratio, reference)  # type: ignore[arg-type]  # one table of wrong values


@pytest.mark.parametrize("size", [(96, 96), (31, 64)])
def test_bins_are_more_exact_than_those_of_one_transform(size: tuple[int, int]) -> None:
    """Bins near zero may come to carry a large amplitude, so that their phases must not be rounding noise."""
    x = pictures(16, size)
    exact = torch.fft.rfft2(x)
    ours, plain = (way(x.float()).to(exact.dtype) - exact for way in (HalfPlane().forward, torch.fft.rfft2))
    ours[..., 0, 0] = plain[..., 0, 0] = 0
    assert float(ours.abs().square().mean().sqrt()) < 0.7 * float(plain.abs().square().mean().sqrt())
    means = HalfPlane().forward(x.float())[..., 0, 0]
    torch.testing.assert_close(means, exact[..., 0, 0].to(means.dtype), rtol=1e-6, atol=0)


def test_batch_draws_are_uniform_and_repeatable() -> None:
    n, views, state = 16, 10_000, torch.get_rng_state()
    source = generator(3)
    drawn = [draw_style("bss", n, (0.02, 0.5), 1.0, source) for _ in range(views)]
    references = np.array([one.reference for one in drawn])
    ratios = np.array([one.ratio for one in drawn])
    counts = np.bincount(references, minlength=n)
    chi_square = float(((counts - views / n) ** 2).sum() / (views / n))
    assert chi_square < 37.7  # 15 degrees of freedom, p = 0.001
    deviation = np.abs(np.sort((ratios - 0.02) / 0.48) - (np.arange(views) + 0.5) / views).max()
    assert ratios.min() >= 0.02 and ratios.max() <= 0.5 and deviation < 1.95 / views**0.5  # Kolmogorov, p = 0.001
    for values in (references, ratios):  # one view knows nothing of the next
        assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.04
    again = generator(3)
    assert drawn[:100] == [draw_style("bss", n, (0.02, 0.5), 1.0, again) for _ in range(100)]
    assert torch.equal(torch.get_rng_state(), state)


def test_image_draws_are_uniform_and_their_own() -> None:
    drawn = draw_style("fa", 10_000, (0.1, 0.3), 0.25, generator())
    assert isinstance(drawn.reference, Tensor) and isinstance(drawn.ratio, Tensor)
    applied = drawn.ratio > 0
    assert abs(float(applied.double().mean()) - 0.25) < 0.02
    assert float(drawn.ratio[applied].min()) >= 0.1 and float(drawn.ratio.max()) <= 0.3
    counts = torch.bincount(drawn.reference // 500, minlength=20).double()
    assert float(((counts - 500) ** 2).sum() / 500) < 43.8  # 19 degrees of freedom, p = 0.001
    assert drawn.part(slice(0, 3)) is drawn


def test_probability_changes_nothing_else_that_is_drawn() -> None:
    for seed in range(20):
        sure, never = (draw_style("bss", 8, (0.1, 0.3), p, generator(seed)) for p in (1.0, 0.0))
        assert sure.reference == never.reference
        assert never.ratio == 0 and 0.1 <= sure.ratio <= 0.3


def test_the_recipe_section() -> None:
    adapter: TypeAdapter[Style] = TypeAdapter(Annotated[Style, "as a field"])
    assert adapter.validate_json('{"kind": "none"}').kind == "none"
    assert adapter.validate_json('{"kind": "fa", "ratio": [0, 0.02], "window": "area"}').kind == "fa"
    style = adapter.validate_json('{"kind": "bss"}')
    assert isinstance(style, BatchStyle) and style.ratio == (0.02, 1.0) and style.clamp
    for wrong in ('"ratio": [0.5, 0.1]', '"ratio": [-0.1, 1]', '"ratio": [0, 1.5]', '"probability": 2', '"windov": 1'):
        with pytest.raises(ValidationError):
            adapter.validate_json('{"kind": "bss", ' + wrong + "}")
    with pytest.raises(ValidationError):
        adapter.validate_json('{"kind": "fa", "one_ratio": true}')


def test_kept_recipes_with_options_that_are_gone_are_still_read() -> None:
    style = "views.style={kind: bss, keep_flat: %s, distinct: false, sync: local}"
    assert read_recipe("quickstart", [style % "false"]) == read_recipe("quickstart", ["views.style={kind: bss}"])
    with pytest.raises(RecipeError, match="keep_flat: no such option"):
        read_recipe("quickstart", [style % "true"])


@pytest.mark.parametrize(("n", "styles"), [(12, 3), (13, 4), (8, 2)])
def test_several_styles_a_view_are_one_for_each_part_of_the_batch_from_within_it(n: int, styles: int) -> None:
    x_NCHW = torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(n))
    ends = [part * n // styles for part in range(styles + 1)]
    seen = set()
    for seed in range(20):
        drawn = draw_style("bss", n, (0.1, 0.6), 1.0, generator(seed), styles)
        whole = standardize(x_NCHW, drawn.ratio, drawn.reference)
        for start, end in pairwise(ends):
            (reference,), (ratio,) = (values[start:end].unique().tolist() for values in (drawn.reference, drawn.ratio))
            assert start <= reference < end
            seen.add((start, reference))
            # As a device with this part alone, and a style of its own, would have it.
            torch.testing.assert_close(whole[start:end], standardize(x_NCHW[start:end], ratio, reference - start))
    assert len(seen) > 1.5 * styles, "drawn anew for each view"
    assert draw_style("bss", n, (0.1, 0.6), 1.0, generator(0), 1) == draw_style("bss", n, (0.1, 0.6), 1.0, generator(0))
