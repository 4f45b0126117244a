"""What FA and BSS do to real pictures: five claims on 1,600 of PACS, measured here and kept as a table.

`SSLRUN_TEST_DATA=FOLDER python tests/views/test_style_pacs.py OUT.md` writes the table; the tests assert the claims on
fewer styles. FOLDER holds `pacs_128.zip`. Shapes: N images in B batches, 96×96 pixels, D features.
"""

import io
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn.functional import interpolate

from sslrun.files import write_text
from sslrun.runs.environment import environment
from sslrun.views.spectrum import WindowKind
from sslrun.views.style import draw_style, standardize

FOLDER = os.environ.get("SSLRUN_TEST_DATA")
pytestmark = pytest.mark.skipif(FOLDER is None, reason="SSLRUN_TEST_DATA is not set")

DOMAINS = ("art_painting", "cartoon", "photo", "sketch")
PER_DOMAIN, SIDE, BATCH = 400, 96, 64
COLUMNS, COLUMN = 6, 128  # of thumbnails: views, and pictures of one
RATIOS = (0.0002, 0.002, 0.01, 0.05, 0.2, 0.5, 1.0)
THUMBNAIL_RATIOS = (0.0005, 0.01, 0.1, 1.0)
REPETITIONS = 3

Kind = Literal["none", "fa", "bss"]
Measures = dict[str, float]
KINDS: tuple[Kind, Kind] = ("bss", "fa")


@cache
def pictures() -> tuple[Tensor, np.ndarray]:
    """Training pictures of the four domains, (N, 3, 96, 96) in [0, 1], and their domains (N,)."""
    generator = np.random.default_rng(0)
    images = []
    with zipfile.ZipFile(Path(FOLDER or ".") / "pacs_128.zip") as archive:
        for domain in DOMAINS:
            lines = archive.read(f"PACS/splits/{domain}_train_kfold.txt").decode().splitlines()
            for line in generator.permutation(sorted(lines))[:PER_DOMAIN]:
                picture = Image.open(io.BytesIO(archive.read("PACS/" + line.split()[0]))).convert("RGB")
                images.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
    x_NCHW = torch.stack(images).float() / 255
    x_NCHW = interpolate(x_NCHW, size=(SIDE, SIDE), mode="bilinear", antialias=True).clamp(0, 1)
    return x_NCHW, np.repeat(np.arange(len(DOMAINS)), PER_DOMAIN)


def restyled(x_NCHW: Tensor, kind: Kind, ratio: float, generator: torch.Generator, window: WindowKind) -> Tensor:
    """A batch under a freshly drawn style, not clamped."""
    if kind == "none":
        return x_NCHW
    draws = draw_style(kind, len(x_NCHW), (ratio, ratio), 1.0, generator)
    return standardize(x_NCHW, draws.ratio, draws.reference, window, clamp=False)


def batches(kind: Kind, ratio: float, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All pictures in random batches of mixed domains: their numbers, and the styled batch."""
    x_NCHW, _ = pictures()
    generator = torch.Generator().manual_seed(seed)
    for rows in torch.randperm(len(x_NCHW), generator=generator).split(BATCH):
        yield rows, restyled(x_NCHW[rows], kind, ratio, generator, "area")


def moments_of_batches(kind: Kind, ratio: float, seed: int, clamp: bool) -> Measures:
    """Variance of channel means: inside a batch, relative to the untouched batch's; and of the batches' averages,
    relative to that of untouched single images."""
    x_NCHW, _ = pictures()
    inside, untouched, averages = [], [], []
    for rows, styled in batches(kind, ratio, seed):
        means_NC = (styled.clamp(0, 1) if clamp else styled).double().mean((2, 3))
        inside.append(means_NC.var(0))
        untouched.append(x_NCHW[rows].double().mean((2, 3)).var(0))
        averages.append(means_NC.mean(0))
    single = x_NCHW.double().mean((2, 3)).var(0)
    return {
        "within": float(torch.stack(inside).mean() / torch.stack(untouched).mean()),
        "between": float(torch.stack(averages).var(0).mean() / single.mean()),
    }


def gradient_magnitude(x_NCHW: Tensor) -> Tensor:
    """Of the mean over channels, by central differences; (N, pixels)."""
    grey_NHW = x_NCHW.mean(1)
    down, right = torch.gradient(grey_NHW, dim=(1, 2))
    return torch.hypot(down, right).flatten(1)


def content_and_clipping(kind: Kind, ratio: float, seed: int) -> Measures:
    """Correlation of the gradient's magnitude with the untouched image's, and the share of values outside [0, 1]."""
    x_NCHW, _ = pictures()
    correlations, outside = [], []
    for rows, styled in batches(kind, ratio, seed):
        before, after = (gradient_magnitude(x) for x in (x_NCHW[rows], styled.clamp(0, 1)))
        before, after = (g - g.mean(1, keepdim=True) for g in (before, after))
        correlations.append(((before * after).sum(1) / (before.norm(dim=1) * after.norm(dim=1)).clamp_min(1e-9)).mean())
        outside.append(((styled < 0) | (styled > 1)).float().mean())
    return {"edge": float(torch.stack(correlations).mean()), "clip": float(torch.stack(outside).mean())}


def domain_accuracy(kind: Kind, ratio: float, seed: int) -> Measures:
    """How well a logistic regression tells the domain, 5 folds: from means, deviations and skewnesses of the channels,
    and from the log amplitudes of the 7×7 lowest frequencies."""
    _, domains = pictures()
    statistics, low, order = [], [], []
    for rows, styled in batches(kind, ratio, seed):
        x = styled.clamp(0, 1).double()
        mean, std = x.mean((2, 3)), x.std((2, 3))
        skewness = ((x - mean[..., None, None]) ** 3).mean((2, 3)) / std.clamp_min(1e-6) ** 3
        statistics.append(torch.cat((mean, std, skewness), 1))
        amplitudes = torch.fft.fftshift(torch.fft.fft2(x).abs(), dim=(2, 3))
        centre = slice(SIDE // 2 - 3, SIDE // 2 + 4)
        low.append(amplitudes[..., centre, centre].clamp_min(1e-6).log().flatten(1))
        order.append(rows)
    y = domains[torch.cat(order).numpy()]
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return {
        name: float(cross_val_score(model, torch.cat(features).numpy(), y, cv=folds).mean())
        for name, features in (("dom-stat", statistics), ("dom-lf", low))
    }


def thumbnail_cosine(kind: Kind, ratio: float, seed: int) -> Measures:
    """Mean cosine of 12×12 thumbnails of different images of one view, less the data set's mean thumbnail."""
    x_NCHW, _ = pictures()
    centre = interpolate(x_NCHW, size=(12, 12), mode="area").mean(0, keepdim=True)
    generator = torch.Generator().manual_seed(seed)
    cosines = []
    for _ in range(COLUMNS):
        rows = torch.randperm(len(x_NCHW), generator=generator)[:COLUMN]
        styled = restyled(x_NCHW[rows], kind, ratio, generator, "half").clamp(0, 1)
        small = (interpolate(styled, size=(12, 12), mode="area") - centre).flatten(1)
        unit = small / small.norm(dim=1, keepdim=True).clamp_min(1e-9)
        similarity = unit @ unit.T
        cosines.append((similarity.sum() - similarity.trace()) / (COLUMN * (COLUMN - 1)))
    return {"cosine": float(torch.stack(cosines).mean())}


def repeated(
    measure: Callable[[Kind, float, int], Measures], kind: Kind, ratio: float, repetitions: int = REPETITIONS
) -> Measures:
    """Means over seeds."""
    measured = [measure(kind, ratio, seed) for seed in range(repetitions)]
    return {name: fmean(one[name] for one in measured) for name in measured[0]}


def test_bss_is_uniform_inside_a_view_and_varies_between_views() -> None:
    for ratio in (0.002, 1.0):
        bss, fa = (moments_of_batches(kind, ratio, 0, clamp=True) for kind in KINDS)
        assert bss["within"] <= 0.02 and fa["within"] >= 0.6
        assert bss["between"] >= 0.4 and fa["between"] <= 0.1
    assert moments_of_batches("bss", 0.01, 0, clamp=False)["within"] < 1e-6


def test_content_stays_and_fades_with_the_ratio() -> None:
    bss, fa = ([repeated(content_and_clipping, kind, r, 2)["edge"] for r in (0.01, 0.2, 1.0)] for kind in KINDS)
    for edge in (bss, fa):
        assert edge[0] >= 0.9
        assert edge == sorted(edge, reverse=True)
    assert np.abs(np.subtract(bss, fa)).max() < 0.02


def test_low_frequencies_tell_the_domain_no_more() -> None:
    assert domain_accuracy("none", 0, 0)["dom-lf"] > 0.65
    for kind in KINDS:
        assert domain_accuracy(kind, 0.01, 0)["dom-lf"] < 0.4


def test_negatives_are_harder_already_in_pixels() -> None:
    for ratio in (0.0005, 0.1, 1.0):
        assert repeated(thumbnail_cosine, "bss", ratio)["cosine"] > 0.3
        assert repeated(thumbnail_cosine, "fa", ratio)["cosine"] < 0.1
    assert abs(repeated(thumbnail_cosine, "none", 0)["cosine"]) < 0.1


HEAD = """# FA and BSS on PACS: claims on the level of images

{n:,} training pictures of PACS ({per_domain} a domain; 128-pixel copies resized to {side} pixels, antialiased), no
crops, `area` window (C5: `half`), clamped, batches of {batch} that mix the domains (C5: {column}), means of
{repetitions} repetitions.

```
SSLRUN_TEST_DATA=FOLDER OMP_NUM_THREADS=1 python tests/views/test_style_pacs.py results/measured/style_pacs_claims.md
```

{machine}

- *within*: variance of channel means inside a batch, relative to the untouched batch's
- *between*: variance over {batches} batches of the average channel means, relative to that of untouched single pictures
- *edge*: correlation of the gradient's magnitude (mean of channels, central differences) with the untouched picture's
- *clip*: share of values outside [0, 1] before clamping
- *dom-stat*, *dom-lf*: accuracy of a logistic regression for the domain (standardised features, 5 folds, chance 0.25)
  on mean, deviation and skewness of the channels; on the log amplitudes of the 7×7 lowest bins
"""
FOOT = """
C5: 12×12 thumbnails less the data set's mean one, {columns} views a repetition, r of {thumbnail_ratios}.

The thresholds and measures are ours; none of these numbers is the paper's (arXiv 2303.06088). Not claimed, and not
so: that BSS removes all low-level cues of the domain, or more of them than FA. *dom-stat* stays about twice chance.
"""


def everything(kind: Kind, ratio: float, seed: int) -> Measures:
    return {
        **moments_of_batches(kind, ratio, seed, clamp=True),
        "unclamped": moments_of_batches(kind, ratio, seed, clamp=False)["within"],
        **content_and_clipping(kind, ratio, seed),
        **domain_accuracy(kind, ratio, seed),
    }


def table(title: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [title, ["---"] * len(title), *rows]) + "\n"


def full_table() -> str:
    """Every style at the full setting, and what it says about the claims, in Markdown."""
    ran_on, n = environment(), len(DOMAINS) * PER_DOMAIN
    packages = ("sslrun", "python", "torch", "numpy", "scikit-learn")
    machine = f"{ran_on['cpu']}; " + ", ".join(f"{package} {ran_on[package]}" for package in packages)
    untouched = repeated(everything, "none", 0)
    bss, fa = ({r: repeated(everything, kind, r) for r in RATIOS} for kind in KINDS)
    columns = ("within", "between", "edge", "clip", "dom-stat", "dom-lf")
    lines = [("untouched", "–", untouched)]
    for r in RATIOS:
        side = f"{r:g} ({int(SIDE * r**0.5 + 1e-9)})"
        lines += [("FA", side, fa[r]), ("BSS", side, bss[r])]
    rows = [[name, r, *(f"{values[column]:.3f}" for column in columns)] for name, r, values in lines]
    head = HEAD.format(
        n=n,
        per_domain=PER_DOMAIN,
        side=SIDE,
        batch=BATCH,
        column=COLUMN,
        repetitions=REPETITIONS,
        machine=machine,
        batches=n // BATCH,
    )
    foot = FOOT.format(columns=COLUMNS, thumbnail_ratios=", ".join(f"{r:g}" for r in THUMBNAIL_RATIOS))
    title = ["", "claim", "measured", "asked", "holds"]
    return "\n".join([head, table(["", "r (side)", *columns], rows), table(title, claims(untouched, bss, fa)) + foot])


def claims(untouched: Measures, bss: dict[float, Measures], fa: dict[float, Measures]) -> list[list[str]]:
    """The five claims: what was measured over all ratios, what is asked, and whether it holds."""

    def span(styles: dict[float, Measures], name: str, least: float = 0, most: float = 1) -> tuple[float, float]:
        values = [measures[name] for r, measures in styles.items() if least <= r <= most]
        return min(values), max(values)

    within, unclamped, own = span(bss, "within")[1], span(bss, "unclamped")[1], span(fa, "within")[0]
    between, calm = span(bss, "between")[0], span(fa, "between")[1]
    edge = min(span(styles, "edge", most=0.01)[0] for styles in (bss, fa))
    apart = max(abs(bss[r]["edge"] - fa[r]["edge"]) for r in RATIOS)
    falling = all(s[low]["edge"] > s[high]["edge"] for s in (bss, fa) for low, high in pairwise(RATIOS))
    low = max(span(styles, "dom-lf", least=0.01)[1] for styles in (bss, fa))
    hard = min(repeated(thumbnail_cosine, "bss", r)["cosine"] for r in THUMBNAIL_RATIOS)
    soft = max(repeated(thumbnail_cosine, "fa", r)["cosine"] for r in THUMBNAIL_RATIOS)
    found = [
        (
            "C1 one style inside a view",
            f"within: BSS ≤ {within:.3f}, unclamped ≤ {unclamped:.0e}; FA ≥ {own:.2f}",
            "BSS ≤ 0.02, < 1e-6; FA ≥ 0.6",
            within <= 0.02 and unclamped < 1e-6 and own >= 0.6,
        ),
        (
            "C2 other styles in other views",
            f"between: BSS ≥ {between:.2f}; FA ≤ {calm:.3f}",
            "BSS ≥ 0.4; FA ≤ 0.1",
            between >= 0.4 and calm <= 0.1,
        ),
        (
            "C3 content stays, less of it with larger r",
            f"edge ≥ {edge:.3f} for r ≤ 0.01, {'' if falling else 'not always '}falling; FA, BSS ≤ {apart:.3f} apart",
            "≥ 0.9, falling; ≤ 0.02",
            edge >= 0.9 and falling and apart <= 0.02,
        ),
        (
            "C4 low frequencies tell the domain no more",
            f"dom-lf: untouched {untouched['dom-lf']:.2f}; ≤ {low:.2f} for r ≥ 0.01",
            "about 0.7; < 0.4",
            untouched["dom-lf"] > 0.65 and low < 0.4,
        ),
        (
            "C5 negatives are harder already in pixels",
            f"cosine of different pictures of a view: BSS ≥ {hard:.2f}; FA ≤ {soft:.3f}",
            "BSS > 0.3; FA < 0.1",
            hard > 0.3 and soft < 0.1,
        ),
    ]
    return [
        [claim[:2], claim[3:], measured, asked, "yes" if holds else "**no**"] for claim, measured, asked, holds in found
    ]


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), full_table())
