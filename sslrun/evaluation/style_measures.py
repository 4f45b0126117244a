"""What a Fourier style can do on some data, before anything is trained: three measures of images and views alone.

Whether domains are still told inside one styled view, whether two views are matched by their colours alone (the
shortcut that a style is to close), and what one amplitude for all images would bring on the unseen domain. The kind of
measure is ours. `sslrun.views` makes the views; `purity` and the probes judge encoders instead.
Shapes: N images, C channels, S pixels of a view.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslrun import console
from sslrun.data.dataset import Dataset
from sslrun.data.images import ImageSet
from sslrun.data.listing import Labels, evenly
from sslrun.evaluation.analyses import balanced
from sslrun.evaluation.purity import domain_probe
from sslrun.evaluation.similarity import nearest, similarities
from sslrun.recipe.schema import Recipe
from sslrun.recipe.schema.style import BatchStyle, FourierStyle, NoStyle, Style
from sslrun.views.pipeline import Views
from sslrun.views.style import standardize

MOST = 384
"""Images that are looked at, of the sources and of the unseen domains: enough for seconds."""
_MOST_SIDE, _SIDE = 64, 16
_REFERENCES = 3


@dataclass(frozen=True)
class StyleMeasures:
    """Parts of 1. By style (`none`, `FA`, `BSS`), the recipe's other options as they are; the domain's chance level.
    `in_full`: the recipe has no style, and those measured replace all amplitudes.

    `told`: images whose domain a linear classifier finds inside one view (None without several source domains).
    `matched`: images whose other view is the nearest by mean and spread of colours. `unseen`: nearest neighbours of the
    unseen domains among the sources, from pixels as they are, and with one amplitude for all (None if none is unseen,
    or there are no classes).
    """

    matched: dict[str, float]
    matched_chance: float
    told: dict[str, float] | None
    told_chance: float
    unseen: tuple[float, float] | None
    held_out: tuple[str, ...] = ()
    in_full: bool = False

    def warnings(self) -> list[str]:
        """Why a grid on styles could not show anything here."""
        found = []
        if self.told is not None and self.told["none"] - self.told_chance > 0.2:
            left = (self.told["BSS"] - self.told_chance) / (self.told["none"] - self.told_chance)
            if left > 0.5:
                found.append(
                    "BSS leaves the domains told inside one view: they differ by more than the amplitudes that it "
                    "changes"
                )
        if self.matched["none"] < 0.1:
            found.append("without a style, views are hardly matched by colours: there is no such shortcut to close")
        if self.unseen is not None and self.unseen[1] <= self.unseen[0]:
            found.append("one amplitude for all images brings nothing to neighbours on the unseen domain")
        return found

    def show(self, title: str = "") -> None:
        """Print the measures as a table, below a title that has more to say, and the warnings."""
        rows = []
        if self.told is not None:
            rows.append(["domain told inside one view", *_parts(self.told), f"{self.told_chance:.2f}"])
        rows.append(["views matched by colours alone", *_parts(self.matched), f"{self.matched_chance:.3f}"])
        if self.unseen is not None:
            raw, one = self.unseen
            what = f"nearest source's class right, {', '.join(self.held_out)} unseen"
            rows.append([what, f"{raw:.2f}", "", f"{one:.2f}", ""])
        console.say()
        if title:
            console.say(title, style="bold")
        console.table(rows, ["" if title else "what a style can do here", "none", "FA", "BSS", "chance"])
        if self.unseen is not None:
            console.say("Nearest sources are by pixels; under BSS all images of all domains have one amplitude.")
        if self.in_full:
            console.say("The recipe has no style: FA and BSS are measured in full, at ratio 1.")
        for warning in self.warnings():
            console.say(f"note: {warning}", style="yellow")


def measure_style(recipe: Recipe, data: Dataset) -> StyleMeasures:
    """The measures of the data and the views of a recipe, on at most `MOST` images of the sources and the targets.

    FA and BSS have the options of the recipe's style; without one they replace all amplitudes. Views are of the
    recipe's first step, at 64 pixels a side at most, without blur. Raises `DataError` as the data set does.
    """
    sources = data.some("train", _few)
    domains = sources.domains
    several = domains is not None and len(torch.unique(domains)) > 1
    if several:
        sources = balanced([sources], None)
    batch = min(recipe.training.batch_size, len(sources))
    styles: dict[str, Style] = {"none": NoStyle(kind="none"), "FA": _fa(recipe), "BSS": _bss(recipe)}
    told, matched = {}, {}
    for name, style in styles.items():
        views = _views(recipe, sources, style)
        if several and sources.domains is not None:
            seen_NCSS = views(sources.images, views.draw(len(sources), recipe.seed, 0)[:1])[0]
            told[name] = domain_probe(traces(views.unnormalized(seen_NCSS)), sources.domains, sources.labels)
        spread = torch.linspace(0, len(sources) - 1, batch).long()
        pair = views(sources.images[spread], views.draw(batch, recipe.seed, 0)[:2])
        matched[name] = match(*(colours(views.unnormalized(view)) for view in pair))
    held_out = tuple(getattr(recipe.data, "held_out", ()))
    unseen = _unseen(recipe, sources, data.some("test", _few)) if held_out and recipe.data.labelled else None
    chance = 1 / len(torch.unique(sources.domains)) if several and sources.domains is not None else 1.0
    in_full = recipe.views.style.kind == "none"
    return StyleMeasures(matched, 1 / batch, told if several else None, chance, unseen, held_out, in_full)


def colours(x_NCSS: Tensor) -> Tensor:
    """Mean and standard deviation of each channel, (N, 2C)."""
    return torch.cat([x_NCSS.mean((2, 3)), x_NCSS.std((2, 3), correction=0)], 1)


def traces(x_NCSS: Tensor) -> Tensor:
    """What tells a style apart, (N, D): colours, and the logarithms of amplitudes at 16 pixels a side."""
    if x_NCSS.shape[-1] > _SIDE:
        x_NCSS = torch.nn.functional.interpolate(x_NCSS, (_SIDE, _SIDE), mode="area")
    amplitudes = torch.fft.rfft2(x_NCSS).abs().clamp_min(1e-3).log()
    return torch.cat([colours(x_NCSS), amplitudes.flatten(1)], 1)


def match(one_ND: Tensor, other_ND: Tensor) -> float:
    """The part of the rows whose nearest of the others, each dimension in units of its spread, is the same row's."""
    spread_D = torch.cat([one_ND, other_ND]).std(0).clamp_min(1e-6)
    found_N = torch.cdist(one_ND / spread_D, other_ND / spread_D).argmin(1)
    return float((found_N == torch.arange(len(one_ND))).double().mean())


def neighbours_right(h_MD: Tensor, labels_M: Tensor, source_ND: Tensor, labels_N: Tensor) -> float:
    """The part of the images whose nearest source, by cosine of centred features, is of their class."""
    h_MD, source_ND = (h - h.mean(1, keepdim=True) for h in (h_MD, source_ND))
    right = 0
    for rows, s_BN in similarities(h_MD, source_ND):
        right += int((labels_N[nearest(s_BN, 1)[1][:, 0]] == labels_M[rows]).sum())
    return right / len(h_MD)


def _unseen(recipe: Recipe, sources: ImageSet, targets: ImageSet) -> tuple[float, float]:
    views = _views(recipe, sources, NoStyle(kind="none"))
    x_NCSS = views.unnormalized(views.plain(torch.cat([sources.images, targets.images])))
    style, count = _bss(recipe), len(sources)

    def right(x_NCSS: Tensor) -> float:
        h_ND = x_NCSS.flatten(1)
        return neighbours_right(h_ND[count:], targets.labels, h_ND[:count], sources.labels)

    references = torch.linspace(0, count - 1, _REFERENCES).long().tolist()
    one = [right(standardize(x_NCSS, style.ratio[1], each, style.window, style.clamp)) for each in references]
    return right(x_NCSS), float(np.mean(one))


def _views(recipe: Recipe, images: ImageSet, style: Style) -> Views:
    size = min(recipe.views.size or images.side, _MOST_SIDE)
    changes = {"style": style, "size": size, "blur": None, "small": None}
    return Views(recipe.views.model_copy(update=changes), channels=images.channels, stored=images.side)


def _few(labels: Labels, domains: Labels | None) -> Labels:
    return evenly(labels, MOST, domains)


def _fa(recipe: Recipe) -> FourierStyle:
    return FourierStyle(kind="fa", **_options(recipe.views.style))


def _bss(recipe: Recipe) -> BatchStyle:
    return BatchStyle(kind="bss", **_options(recipe.views.style))


def _options(style: Style) -> dict[str, Any]:
    """What FA and BSS share of the recipe's style, always applied; without one all that a style can do."""
    if style.kind == "none":
        return {"ratio": (1.0, 1.0)}
    return {"ratio": style.ratio, "window": style.window, "clamp": style.clamp}


def _parts(values: dict[str, float]) -> Sequence[str]:
    return [f"{value:.2f}" for value in values.values()]
