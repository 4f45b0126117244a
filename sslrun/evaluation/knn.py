"""k nearest neighbours on frozen features: cosine similarity s, each neighbour votes exp(s / temperature).

The weighted vote of instance discrimination (arXiv 1805.01978, section 3.4), which needs no training and no choice.
The similarities are in similarity.py.

Shapes: B test images of a chunk, K neighbours, C classes.
"""

from collections.abc import Callable

import torch

from sslrun.evaluation.baselines import Metrics
from sslrun.evaluation.judge import Subject, evaluate
from sslrun.evaluation.problem import Problem
from sslrun.evaluation.similarity import nearest, similarities
from sslrun.recipe.schema import Knn


@evaluate.register
def _(section: Knn, subject: Subject) -> Metrics:
    return subject.problem.with_error(knn_accuracy(section, subject.problem, subject.beat))


@torch.no_grad()
def knn_accuracy(section: Knn, p: Problem, beat: Callable[[], None] = lambda: None) -> float:
    """The part of the test images whose class wins the vote of their `k` nearest training images.

    Of equally near images at the k-th place the first in order are taken; of equal votes the lower class wins. A
    feature vector of zeros is equally near (0) to all. `beat` is called for every chunk of test images. Raises
    `InputError` where fewer than `k` training images are labelled.
    """
    section.has_neighbours(len(p.train))
    correct = torch.zeros((), dtype=torch.int64, device=p.train.device)
    for rows, s_BN in similarities(p.test, p.train):
        beat()
        s_BK, nearest_BK = nearest(s_BN, section.k)
        votes_BK = ((s_BK - s_BK[:, :1]) / section.temperature).exp()
        votes_BC = torch.zeros(len(s_BN), p.classes, device=s_BN.device)
        classes_BK = p.train_labels[nearest_BK]
        for j in range(section.k):  # one neighbour at a time: the order of the sum is fixed on every device
            votes_BC.scatter_add_(1, classes_BK[:, j : j + 1], votes_BK[:, j : j + 1])
        correct += (votes_BC.argmax(1) == p.test_labels[rows]).sum()
    return int(correct) / len(p.test_labels)
