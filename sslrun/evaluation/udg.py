"""How well an encoder serves domains it has never seen: the protocol of unsupervised domain generalisation.

After Zhang et al., CVPR 2022: fit on a labelled fraction of the source images, a linear probe where
labels are few and fine-tuning (finetune.py) from a tenth on, and test on the held-out domains. Whatever is chosen is
chosen on held-out source images; no target image takes part in anything but its own test.

Shapes: N images, T of the target domains, D features.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from math import ceil

import torch
from torch import Tensor

from sslrun.data.images import ImageSet
from sslrun.errors import InputError
from sslrun.evaluation.analyses import domains_of
from sslrun.evaluation.baselines import Metrics
from sslrun.evaluation.features import Featured
from sslrun.evaluation.finetune import Tuned, finetune
from sslrun.evaluation.judge import Subject, evaluate
from sslrun.evaluation.logistic import accuracy, best_fit, few_threads, in_principal_axes, zero_weights
from sslrun.evaluation.problem import standardised
from sslrun.evaluation.similarity import similarities
from sslrun.recipe.schema import Udg
from sslrun.recipe.schema.judging import fraction_name
from sslrun.seeds import stream_seed

Tune = Callable[[ImageSet, ImageSet, ImageSet], Tuned]
"""Fine-tune on labelled images, choose by validation images, classify test images."""


@evaluate.register
def _(section: Udg, subject: Subject) -> Metrics:
    """Raw pixels can't be fine-tuned."""
    tune: Tune | None = None
    if subject.encoder is not None:
        tune = partial(
            finetune,
            subject.encoder,
            recipe=subject.recipe,
            options=section,
            device=subject.device,
            beat=subject.beat,
            group=subject.judge.group,
        )
    train, validation, test = (subject.featured(split) for split in section.SPLITS)
    return dict(udg(section, train, validation, test, tune, subject.beat))


def udg(
    options: Udg,
    train: Featured,
    validation: Featured,
    test: Featured,
    tune: Tune | None,
    beat: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """The metrics of the protocol: train on `train`, choose by `validation`, both of the source domains, and test.

    For every fraction, called `1` if it is 1 %, and for the nearest neighbour by cosine similarity among all of
    `train`, called `nn`: `1.<domain>`, the accuracy on a target domain (a part of 1); `1.avg`, the plain mean of
    these; `1.overall`, the accuracy over all target images. Of fractions also `1.validation`, the accuracy by which
    was chosen, the `1.decay` or `1.epoch` that was chosen, `1.labelled`, the number of labelled images, and `1.part`,
    which part of all they are: rounded up for every domain and class, 1 % of few images is more.

    Images without label (−1) are left out. Without `tune` (raw pixels can't be tuned) there is `nn` alone. The probes
    call `beat` all along; `tune` must have its own. Raises `InputError` where a split has no domains or no labels.
    """
    train, validation, test = _usable("training", train), _usable("validation", validation), _usable("target", test)
    metrics = {f"nn.{key}": value for key, value in by_domain(nearest_class(train, test.features), test.images).items()}
    if tune is None:
        return metrics
    for fraction in sorted(set(options.fractions)):
        labelled = train.at(labelled_subset(train.images.labels, domains_of(train.images), fraction, options.fold))
        chosen: dict[str, float]
        if fraction < options.finetune_from:
            predicted_T, validated, decay = probe(labelled, validation, test.features, options, beat)
            chosen = {"validation": validated, "decay": decay}
        else:
            tuned = tune(labelled.images, validation.images, test.images)
            predicted_T = tuned.predicted_N
            chosen = {"validation": tuned.validation, "epoch": tuned.epoch}
        counts = {"labelled": len(labelled.images), "part": len(labelled.images) / len(train.images)}
        found = by_domain(predicted_T, test.images) | chosen | counts
        metrics |= {f"{fraction_name(fraction)}.{key}": value for key, value in found.items()}
    return metrics


def by_domain(predicted_N: Tensor, images: ImageSet) -> dict[str, float]:
    """The accuracy on each domain that `images` have, in order, then `avg`, their plain mean, and `overall`."""
    correct_N, domains_N = predicted_N.cpu() == images.labels, domains_of(images)
    accuracies: dict[str, float] = {}
    for domain in domains_N.unique().tolist():
        name = images.domain_names[domain]
        Udg.can_name(name)
        accuracies[name] = int(correct_N[domains_N == domain].sum()) / int((domains_N == domain).sum())
    average = sum(accuracies.values()) / len(accuracies)
    return accuracies | {"avg": average, "overall": int(correct_N.sum()) / len(correct_N)}


def nearest_class(train: Featured, h_TD: Tensor) -> Tensor:
    """The class (T,) of the most similar training image by cosine; of equally similar ones the first."""
    nearest_T = torch.cat([s_BN.argmax(1) for _, s_BN in similarities(h_TD, train.features)])
    return train.labels[nearest_T]


@torch.no_grad()
def probe(
    labelled: Featured,
    validation: Featured,
    h_TD: Tensor,
    options: Udg,
    beat: Callable[[], None] = lambda: None,
) -> tuple[Tensor, float, float]:
    """A linear probe on all labelled images: the classes (T,) of `h_TD`, the accuracy on validation, and the decay.

    The decay is the one that is best on validation, of equally good ones the largest; features are standardised by
    the labelled images. `beat` is called all along, as in `fit`.
    """
    others = torch.cat([validation.features, h_TD])
    x_ND, others, variance_D = in_principal_axes(*standardised(labelled.features, others))
    validation_ND, x_TD = others.split([len(validation.images), len(h_TD)])
    present_K, y_N = torch.unique(labelled.labels, return_inverse=True)
    with few_threads(x_ND.numel() * len(present_K)):
        decay, weights, accuracies = best_fit(
            x_ND,
            y_N,
            variance_D,
            options.decays,
            zero_weights(x_ND, len(present_K)),
            options.iterations,
            lambda weights: accuracy(present_K[weights.classify(validation_ND)], validation.labels),
            beat,
        )
        return present_K[weights.classify(x_TD)], accuracies[decay], decay


def _usable(which: str, part: Featured) -> Featured:
    """The labelled images, on a device that has float64 (MPS has none)."""
    features = part.features.cpu() if part.features.device.type == "mps" else part.features
    known = Featured(part.images, features).at((part.images.labels >= 0).nonzero()[:, 0])
    if len(known.images) == 0:
        raise InputError(f"there are no labelled {which} images", where="evaluation.udg", remedy="Choose other data.")
    return known


def labelled_subset(labels_N: Tensor, domains_N: Tensor, fraction: float, fold: int = 0) -> Tensor:
    """The ascending index (n,), int64, of the labelled images: ⌈fraction · count⌉ of every domain and class.

    A fold is an order of the images of every domain and class; a fraction takes its beginning. That is how the public
    lists of PACS for this protocol are made, as far as their counts tell.
    `fraction` counts as it is written: 0.1 of 30 images are 3. The smaller fraction lies within the larger. What is
    taken of a domain depends on that domain's images alone, so that it is the same whichever domain is held out.
    Images without label (−1) never count. Raises `InputError` if there are no others.
    """
    parts = []
    for domain, label in torch.stack([domains_N, labels_N])[:, labels_N >= 0].unique(dim=1).T.tolist():
        members = ((domains_N == domain) & (labels_N == label)).nonzero()[:, 0]
        generator = torch.Generator().manual_seed(stream_seed(fold, "labels", domain, label))
        order = torch.randperm(len(members), generator=generator)
        parts.append(members[order[: ceil(Fraction(str(fraction)) * len(members))]])
    if not parts:
        raise InputError("there are no labelled training images to take a fraction of", where="evaluation.udg")
    return torch.cat(parts).sort().values
