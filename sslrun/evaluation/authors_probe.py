"""The probe of the DirectPred code (arXiv 2102.06810): fifty epochs of Adam on one linear layer.

It is kept to compare with that paper's numbers: it ends before convergence, and its authors report the best epoch on
the *test* set, which is labelled so here. linear.py is the judge to believe.

Shapes: N images, D features.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from sslrun.evaluation.baselines import Metrics
from sslrun.evaluation.judge import Subject, evaluate
from sslrun.evaluation.problem import Problem, standardised
from sslrun.recipe.schema import AuthorsProbe
from sslrun.seeds import stream_seed


@dataclass(frozen=True)
class AuthorsProbeResult:
    """Test accuracies, parts of 1."""

    last: float
    """After the last epoch."""
    best_on_test: float
    """The best of all epochs, chosen on the test set itself: too good by that choice."""
    per_epoch: tuple[float, ...]


@evaluate.register
def _(section: AuthorsProbe, subject: Subject) -> Metrics:
    found = authors_probe(section, subject.problem, subject.recipe.seed, subject.beat)
    return {**vars(found), "per_epoch": list(found.per_epoch)}


def authors_probe(
    section: AuthorsProbe, p: Problem, seed: int, beat: Callable[[], None] = lambda: None
) -> AuthorsProbeResult:
    """Train on standardised features in batches shuffled anew each epoch; test after each.

    Cross-entropy, coupled L2 decay on weights and bias, the last smaller batch kept. `beat` is called every
    step.
    """
    x_ND, test_ND = standardised(p.train, p.test)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "probe", 0))
        layer = nn.Linear(x_ND.shape[1], p.classes).to(x_ND.device)
    optimizer = torch.optim.Adam(layer.parameters(), lr=section.lr, weight_decay=section.weight_decay)
    correct = []
    for epoch in range(1, section.epochs + 1):
        generator = torch.Generator().manual_seed(stream_seed(seed, "probe", epoch))
        order_N = torch.randperm(len(x_ND), generator=generator).to(x_ND.device)
        shuffled_ND, shuffled_labels_N = x_ND[order_N], p.train_labels[order_N]
        for start in range(0, len(x_ND), section.batch_size):
            batch = slice(start, start + section.batch_size)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(layer(shuffled_ND[batch]), shuffled_labels_N[batch])
            torch.autograd.backward(loss)
            optimizer.step()
            beat()
        with torch.no_grad():
            correct.append((layer(test_ND).argmax(1) == p.test_labels).sum())
    per_epoch = tuple(count / len(test_ND) for count in torch.stack(correct).tolist())
    return AuthorsProbeResult(last=per_epoch[-1], best_on_test=max(per_epoch), per_epoch=per_epoch)
