"""k nearest neighbours on frozen features: cosine similarity s, each neighbour votes exp(s / temperature).

The weighted vote of instance discrimination (arXiv 1805.01978, section 3.4), which needs no training and no choice.
The other judges are linear.py and authors_probe.py.

Shapes: N training images, B test images of a chunk, D features, K neighbours, C classes.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sslrun.errors import InputError
from sslrun.evaluation.problem import problem

_MOST_SIMILARITIES = 2**25  # elements of one chunk's similarity matrix: 128 MiB of float32


@torch.no_grad()
def knn_accuracy(
    train_ND: Tensor,
    train_labels_N: Tensor,
    test_ND: Tensor,
    test_labels_N: Tensor,
    *,
    k: int = 5,
    temperature: float = 0.07,
    classes: int,
    beat: Callable[[], None] = lambda: None,
) -> float:
    """The part of the test images whose class wins the vote of their `k` nearest training images.

    Of equally near images at the k-th place the first in order are taken; of equal votes the lower class wins. A
    feature vector of zeros is equally near (0) to all. Images without label (−1) are left out. `beat` is called for
    every chunk of test images. Raises `InputError` where fewer than `k` training images are labelled, and as `problem`
    does.
    """
    p = problem(train_ND, train_labels_N, test_ND, test_labels_N, classes)
    if k > len(p.train):
        raise InputError(
            f"{k} neighbours of {len(p.train)} labelled training images",
            where="evaluation.knn.k",
            remedy=f"Set evaluation.knn.k to at most {len(p.train)}.",
        )
    train_ND, test_ND = unit(p.train), unit(p.test)
    correct = torch.zeros((), dtype=torch.int64, device=train_ND.device)
    chunk = max(1, _MOST_SIMILARITIES // len(train_ND))
    for start in range(0, len(test_ND), chunk):
        beat()
        h_BD, labels_B = test_ND[start : start + chunk], p.test_labels[start : start + chunk]
        s_BK, nearest_BK = nearest(h_BD @ train_ND.T, k)
        votes_BK = ((s_BK - s_BK[:, :1]) / temperature).exp()
        votes_BC = torch.zeros(len(h_BD), classes, device=h_BD.device)
        classes_BK = p.train_labels[nearest_BK]
        for j in range(k):  # one neighbour at a time: the order of the sum is fixed on every device
            votes_BC.scatter_add_(1, classes_BK[:, j : j + 1], votes_BK[:, j : j + 1])
        correct += (votes_BC.argmax(1) == labels_B).sum()
    return int(correct) / len(p.test_labels)


def unit(h_ND: Tensor) -> Tensor:
    """Rows of length 1; rows of zeros stay. Divided by their largest entry first, so that no square can overflow."""
    tiny = torch.finfo(h_ND.dtype).tiny
    h_ND = h_ND / h_ND.abs().amax(1, keepdim=True).clamp_min(tiny)
    lengths_N1: Tensor = torch.linalg.vector_norm(h_ND, dim=1, keepdim=True)
    return h_ND / lengths_N1.clamp_min(tiny)


def nearest(s_BN: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The `k` largest similarities a row, falling, and where they are; ties at the k-th place go to the first."""
    s_BK, nearest_BK = s_BN.topk(min(k + 1, s_BN.shape[1]), dim=1)
    if s_BK.shape[1] > k and bool((s_BK[:, k - 1] == s_BK[:, k]).any()):
        last_B1 = s_BK[:, k - 1 : k]
        above_BN, tied_BN = s_BN > last_B1, s_BN == last_B1
        places_B1 = k - above_BN.sum(1, keepdim=True)
        taken_BN = above_BN | (tied_BN & (tied_BN.cumsum(1) <= places_B1))
        s_BK, nearest_BK = s_BN.masked_fill(~taken_BN, -torch.inf).topk(k, dim=1)
    return s_BK[:, :k], nearest_BK[:, :k]
