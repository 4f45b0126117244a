"""What an encoder's features know of the domains: the images to ask about, and all measures of them at once.

The measures are in purity.py. All encoders that are compared are asked about the same images:
`balanced` draws them by a fixed rule, without any seed.

Shapes: M images, D features.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sslrun.data.images import ImageSet
from sslrun.data.listing import Split, evenly
from sslrun.errors import DataError
from sslrun.evaluation.baselines import Metrics
from sslrun.evaluation.judge import Subject, evaluate
from sslrun.evaluation.own_statistics import has_batch_norm, with_statistics_of
from sslrun.evaluation.purity import (
    cluster_purity,
    cluster_purity_chance,
    clusters,
    domain_probe,
    neighbours,
    purity,
    purity_chance,
    purity_chance_across,
)
from sslrun.evaluation.similarity import unit
from sslrun.recipe.schema import Analyses


@evaluate.register
def _(section: Analyses, subject: Subject) -> Metrics:
    images, encoder = analysed(section, subject), subject.encoder
    found = dict(analyse(subject.features(images), images, section, subject.beat))
    if section.across_domains and encoder is not None and has_batch_norm(encoder):
        own = analyse(_features_apart(encoder, images, subject), images, section, subject.beat)
        found |= {f"own_statistics.{name}": value for name, value in own.items() if f"{name}_chance" in own}
        found["own_statistics.domain_probe"] = own["domain_probe"]
    return dict(found)


def analysed(section: Analyses, subject: Subject) -> ImageSet:
    """Equally many images of each domain, of the test set and, where domains are held out, the validation set."""
    splits: tuple[Split, ...] = ("validation", "test") if getattr(subject.recipe.data, "held_out", ()) else ("test",)
    return balanced([subject.judge.images(split) for split in splits], section.images_per_domain)


def _features_apart(encoder: nn.Module, images: ImageSet, subject: Subject) -> Tensor:
    """Features (M, D) of images whose domains pass one by one, under batch norm statistics of their own."""
    domains_M, plain = domains_of(images), subject.judge.views.plain
    index_of = [(domains_M == domain).nonzero()[:, 0] for domain in torch.unique(domains_M)]
    chunks = []
    for part in map(images.subset, index_of):
        adapted = with_statistics_of(part.images, encoder, plain, device=subject.device, beat=subject.beat)
        chunks.append(subject.features(part, adapted))
    h_MD = torch.cat(chunks)
    return h_MD[torch.cat(index_of).argsort().to(h_MD.device)]


def balanced(sets: Sequence[ImageSet], most: int | None) -> ImageSet:
    """Equally many images of every domain in `sets` together, in their order; at most `most` of each. Images without
    label are passed over, unless none has any.

    Within a domain the classes take turns, each giving its next image in order. Raises `DataError` where there are
    fewer than two domains.
    """
    domains_M = torch.cat([domains_of(images) for images in sets])
    labels_M = torch.cat([images.labels for images in sets])
    known_M = (domains_M >= 0) & ((labels_M >= 0) | (labels_M < 0).all())
    of_domain = [(known_M & (domains_M == domain)).nonzero()[:, 0] for domain in torch.unique(domains_M[known_M])]
    if len(of_domain) < 2:
        raise DataError(
            "images of fewer than two domains: there is nothing to tell apart",
            remedy="Analyses of domains need images of two or more; labelled ones, where any has a label.",
        )
    count = min(map(len, of_domain))
    count = count if most is None else min(count, most)
    chosen = [index[torch.from_numpy(evenly(labels_M[index].numpy(), count))] for index in of_domain]
    rest_M = torch.cat(chosen).sort().values
    parts = []
    for images in sets:
        parts.append(images.subset(rest_M[rest_M < len(images)]))
        rest_M = rest_M[rest_M >= len(images)] - len(images)
    return ImageSet(
        torch.cat([part.images for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat([domains_of(part) for part in parts]),
        sets[0].class_names,
        sets[0].domain_names,
    )


def domains_of(images: ImageSet) -> Tensor:
    """The domains (N,) of images. Raises `DataError` where they have none."""
    if images.domains is None:
        raise DataError("these images have no domains", remedy="Analyses of domains need data that has them.")
    return images.domains


def analyse(
    h_MD: Tensor, images: ImageSet, section: Analyses, beat: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """All measures of the features of images that all have a domain, and their levels by chance; those that compare
    classes are left out where no image has one.

    Parts of 1; `domain_purity_excess` is what purity exceeds chance by, `images` their number. The domain probe calls
    `beat` all along. `class_purity_across` is of neighbours from other domains, where the section asks for it. Raises
    `InputError` where there are too few images.
    """
    h_MD = h_MD.cpu() if h_MD.device.type == "mps" else h_MD  # which has no float64
    labels_M, domains_M = images.labels.to(h_MD.device), domains_of(images).to(h_MD.device)
    labelled = bool((labels_M >= 0).all())
    nearest_MK = neighbours(h_MD, section.neighbours)
    assigned_M = clusters(h_MD, section.clusters or len(torch.unique(labels_M if labelled else domains_M)))
    found, chance = purity(nearest_MK, domains_M), purity_chance(domains_M)
    of_classes = {}
    if labelled:
        of_class_MK = neighbours(h_MD, section.neighbours, within_M=labels_M)
        of_classes = {
            "domain_purity_same_class": purity(of_class_MK, domains_M),
            "domain_purity_same_class_chance": purity_chance(domains_M, labels_M),
            "class_purity": purity(nearest_MK, labels_M),
            "class_purity_chance": purity_chance(labels_M),
        }
    if labelled and section.across_domains:
        across_MK = neighbours(h_MD, section.neighbours, across_M=domains_M)
        of_classes["class_purity_across"] = purity(across_MK, labels_M)
        of_classes["class_purity_across_chance"] = purity_chance_across(labels_M, domains_M)
    return {
        "domain_purity": found,
        "domain_purity_chance": chance,
        "domain_purity_excess": found - chance,
        **of_classes,
        "cluster_purity": cluster_purity(assigned_M, domains_M),
        "cluster_purity_chance": cluster_purity_chance(domains_M),
        "domain_probe": domain_probe(h_MD, domains_M, labels_M, beat),
        "images": len(h_MD),
    }


def plane(h_MD: Tensor) -> Tensor:
    """Features of unit length, centred, along their first two principal axes: float64 (M, 2) on the CPU.

    The sign of each axis is such that its largest coefficient is positive.
    """
    h_MD = unit(h_MD.cpu().double())
    h_MD = h_MD - h_MD.mean(0)
    axes_D2 = torch.linalg.eigh(h_MD.T @ h_MD)[1][:, -2:].flip(1)
    signs_2 = axes_D2.gather(0, axes_D2.abs().argmax(0, keepdim=True)).sign()
    points_M2: Tensor = h_MD @ (axes_D2 * signs_2)
    return points_M2
