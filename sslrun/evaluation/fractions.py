"""Which source images are labelled: class-balanced, nested, and the same for every run (Zhang et al., CVPR 2022).

A fold is an order of the images of every domain and class; a fraction takes its beginning, rounded up. That is how
the public lists of PACS for this protocol are made, as far as their counts tell. udg.py fits on these images.

Shapes: N images, n of them labelled.
"""

from fractions import Fraction
from math import ceil

import torch
from torch import Tensor

from sslrun.errors import InputError
from sslrun.seeds import stream_seed


def labelled_subset(labels_N: Tensor, domains_N: Tensor, fraction: float, fold: int = 0) -> Tensor:
    """The ascending index (n,), int64, of the labelled images: ⌈fraction · count⌉ of every domain and class.

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
