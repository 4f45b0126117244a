"""How pure neighbourhoods and clusters of features are: do they gather by domain, or by class? And how well a linear
classifier tells domains from features.

Domain purity is an analysis of arXiv 2303.06088, whose exact definition is not known to us: neighbours by cosine
similarity, and clusters of k-means, are our choice. `analyses.py` applies both to a set with equally many images of
each domain, where chance is the same for all encoders.

Shapes: M images, B of a chunk, D features, K neighbours. Groups (domains or classes) are int64 (M,), 0 and up.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from sslrun.errors import InputError
from sslrun.evaluation.logistic import few_threads, fit, in_principal_axes, zero_weights
from sslrun.evaluation.problem import standardised
from sslrun.evaluation.similarity import nearest, similarities, unit
from sslrun.recipe.schema import Analyses

FOLDS = 5
_STARTS = 10  # of k-means, of which the best is taken


@torch.no_grad()
def neighbours(h_MD: Tensor, k: int, within_M: Tensor | None = None, across_M: Tensor | None = None) -> Tensor:
    """The `k` most similar other images of each image by cosine, int64 (M, K); ties go to the first in order.

    With `within_M`, only among images of the same group there; with `across_M`, only among those of other groups
    there. Raises `InputError` where some image has fewer than `k` others to choose from.
    """
    fewest, others = len(h_MD) - 1, "in all"
    if within_M is not None:
        fewest, others = int(torch.unique(within_M, return_counts=True)[1].min()) - 1, "of the same class"
    elif across_M is not None:
        fewest, others = len(h_MD) - int(torch.unique(across_M, return_counts=True)[1].max()), "of other domains"
    Analyses.has_neighbours(k, fewest, others)
    chunks = []
    for rows, s_BM in similarities(h_MD, h_MD):
        s_BM.diagonal(rows.start).fill_(-torch.inf)
        if within_M is not None:
            s_BM.masked_fill_(within_M[rows, None] != within_M, -torch.inf)
        elif across_M is not None:
            s_BM.masked_fill_(across_M[rows, None] == across_M, -torch.inf)
        chunks.append(nearest(s_BM, k)[1])
    return torch.cat(chunks)


def purity(nearest_MK: Tensor, groups_M: Tensor) -> float:
    """The part of all neighbours whose group is that of their image: 1/(MK) Σ_i Σ_j 1[g_j = g_i]."""
    return int((groups_M[nearest_MK] == groups_M[:, None]).sum()) / nearest_MK.numel()


def purity_chance(groups_M: Tensor, within_M: Tensor | None = None) -> float:
    """The purity of neighbours drawn at random: Σ_g M_g/M · (M_g − 1)/(M − 1), or that mean over the images of what
    is drawn within their group of `within_M` (at least two images each)."""
    within_M = torch.zeros_like(groups_M) if within_M is None else within_M
    n_WG = _counts(within_M, groups_M).double()
    others_W1 = n_WG.sum(1, keepdim=True) - 1
    return float((n_WG * (n_WG - 1) / others_W1.clamp_min(1)).sum() / len(groups_M))


def purity_chance_across(groups_M: Tensor, across_M: Tensor) -> float:
    """The purity of neighbours drawn at random among the images of other groups of `across_M`."""
    n_AG = _counts(across_M, groups_M).double()
    others_A1 = len(groups_M) - n_AG.sum(1, keepdim=True)
    return float((n_AG * (n_AG.sum(0) - n_AG) / others_A1.clamp_min(1)).sum() / len(groups_M))


def clusters(h_MD: Tensor, count: int) -> Tensor:
    """The cluster of each image, int64 (M,) in 0 .. count − 1 on the CPU: k-means on features of unit length.

    The same features give the same clusters. Raises `InputError` for more clusters than images.
    """
    if count > len(h_MD):
        raise InputError(f"{count} clusters of {len(h_MD)} images", where="evaluation.analyses.clusters")
    from sklearn.cluster import KMeans  # slow to import, and most evaluations do without
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    means = KMeans(count, n_init=_STARTS, random_state=0)
    with threadpool_limits(1), warnings.catch_warnings():  # threads add up in any order
        warnings.simplefilter("ignore", ConvergenceWarning)  # a collapsed encoder has fewer distinct features
        assigned_M = means.fit_predict(unit(h_MD).cpu().numpy())
    return torch.from_numpy(assigned_M).long()


def cluster_purity(assigned_M: Tensor, groups_M: Tensor) -> float:
    """The part of the images that are of the most frequent group of their cluster: 1/M Σ_c max_g |{a_i = c, g_i = g}|.

    At least `cluster_purity_chance`; somewhat more than that for random clusters of few images.
    """
    return int(_counts(assigned_M, groups_M).amax(1).sum()) / len(groups_M)


def cluster_purity_chance(groups_M: Tensor) -> float:
    """The purity of clusters that know nothing of the groups, of many images each: max_g M_g/M."""
    return int(groups_M.bincount().max()) / len(groups_M)


def _counts(first_M: Tensor, second_M: Tensor) -> Tensor:
    """How many images are of each group of the first and each of the second kind: int64 on the CPU."""
    counts = torch.zeros(int(first_M.max()) + 1, int(second_M.max()) + 1, dtype=torch.int64)
    return counts.index_put_((first_M.cpu(), second_M.cpu()), torch.ones((), dtype=torch.int64), accumulate=True)


_ITERATIONS = 500


@torch.no_grad()
def domain_probe(h_MD: Tensor, domains_M: Tensor, labels_M: Tensor, beat: Callable[[], None] = lambda: None) -> float:
    """The part of the images whose domain is found by a classifier fitted without their fold.

    The name is from arXiv 2303.06088's kind of analysis; five folds, and scikit-learn's default, C = 1, are our choice.
    Logistic regression of the domain from features standardised on the fitted folds, weight decay 1/n for n of them.
    Folds deal out the images of each domain and class (-1 for none) in turn. `beat` is called all along, as in
    `fit`. Raises `InputError` for fewer images than folds.
    """
    if len(h_MD) < FOLDS:
        raise InputError(f"a domain probe with {FOLDS} folds of {len(h_MD)} images")
    present_K, domains_M = torch.unique(domains_M, return_inverse=True)
    folds_M = folds(domains_M, labels_M)
    correct = 0
    with few_threads(h_MD.numel() * len(present_K)):
        for fold in range(FOLDS):
            held_M = folds_M == fold
            x_ND, held_ND, variance_D = in_principal_axes(*standardised(h_MD[~held_M], h_MD[held_M]))
            start = zero_weights(x_ND, len(present_K))
            weights = fit(x_ND, domains_M[~held_M], variance_D, 1 / len(x_ND), start, _ITERATIONS, beat)
            correct += int((weights.classify(held_ND) == domains_M[held_M]).sum())
    return correct / len(h_MD)


def folds(domains_M: Tensor, labels_M: Tensor) -> Tensor:
    """The fold of each image, int64 (M,) in 0 .. 4: images ordered by domain and class are dealt out in turn."""
    classes_M = labels_M - labels_M.min()
    order_M = (domains_M * (classes_M.max() + 1) + classes_M).argsort(stable=True)
    folds_M = torch.empty_like(order_M)
    folds_M[order_M] = torch.arange(len(order_M), device=order_M.device) % FOLDS
    return folds_M
