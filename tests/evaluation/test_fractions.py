"""Which images are labelled: counts as the public lists of PACS have them, nested, balanced, the same for every run."""

import os
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sslrun.errors import InputError
from sslrun.evaluation.udg import labelled_subset
from sslrun.recipe.schema.judging import fraction_name

FOLDER = os.environ.get("SSLRUN_TEST_DATA")
PACS = {  # labelled images at 1, 5, 10 % of the official training lists
    "photo": (17, 79, 153),
    "art_painting": (22, 96, 187),
    "cartoon": (25, 109, 215),
    "sketch": (38, 180, 357),
}


def drawn(counts: list[list[int]], seed: int, unlabelled: int = 0) -> tuple[Tensor, Tensor]:
    """Labels and domains of images in random order, `counts[domain][class]` of each."""
    pairs = [(d, c) for d, row in enumerate(counts) for c, n in enumerate(row) for _ in range(n)]
    pairs += [(0, -1)] * unlabelled
    shuffled = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed))
    domains_N, labels_N = torch.tensor(pairs)[shuffled].T
    return labels_N.contiguous(), domains_N.contiguous()


def counted(labels: Tensor, domains: Tensor, index: Tensor) -> Counter[tuple[int, int]]:
    return Counter(zip(domains[index].tolist(), labels[index].tolist(), strict=True))


@given(
    counts=st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=1, max_size=3).filter(
        lambda counts: sum(map(sum, counts)) > 0
    ),
    per_cent=st.lists(st.integers(1, 100), min_size=2, max_size=2).map(sorted),
    fold=st.integers(0, 3),
)
def test_every_domain_and_class_gives_its_part_rounded_up_and_less_lies_within_more(
    counts: list[list[int]], per_cent: list[int], fold: int
) -> None:
    labels, domains = drawn(counts, seed=fold, unlabelled=5)
    subsets = [labelled_subset(labels, domains, percent / 100, fold) for percent in per_cent]
    for percent, index in zip(per_cent, subsets, strict=True):
        assert torch.equal(index, index.unique())
        expected = {(d, c): -(-n * percent // 100) for d, row in enumerate(counts) for c, n in enumerate(row) if n}
        assert counted(labels, domains, index) == expected
    assert set(subsets[0].tolist()) <= set(subsets[1].tolist())


def test_all_of_them_are_all_that_have_a_label() -> None:
    labels, domains = drawn([[9, 4], [3, 8]], seed=0, unlabelled=6)
    assert torch.equal(labelled_subset(labels, domains, 1.0), (labels >= 0).nonzero()[:, 0])


def test_folds_take_other_images_and_one_fold_always_the_same() -> None:
    labels, domains = drawn([[200, 100], [50, 80]], seed=0)
    first, again, other = (labelled_subset(labels, domains, 0.1, fold) for fold in (0, 0, 1))
    assert torch.equal(first, again)
    assert counted(labels, domains, first) == counted(labels, domains, other)
    assert len(set(first.tolist()) & set(other.tolist())) < len(first) / 2
    assert (first.double().mean() - len(labels) / 2).abs() < len(labels) / 5  # drawn, not the first in order


def test_what_is_taken_of_a_domain_does_not_depend_on_the_others() -> None:
    labels, domains = drawn([[30, 20], [25, 35], [10, 12]], seed=0)
    here = (domains == 1).nonzero()[:, 0]
    together = labelled_subset(labels, domains, 0.1)
    alone = labelled_subset(labels[here], domains[here], 0.1)
    assert together[domains[together] == 1].tolist() == here[alone].tolist()


def test_fractions_count_as_they_are_written() -> None:
    labels, domains = torch.zeros(100, dtype=torch.int64), torch.zeros(100, dtype=torch.int64)
    assert 0.07 * 100 > 7  # in binary
    assert len(labelled_subset(labels, domains, 0.07)) == 7
    assert [fraction_name(value) for value in (0.01, 0.05, 0.1, 1.0, 0.005, 0.07)] == [
        "1",
        "5",
        "10",
        "100",
        "0.5",
        "7",
    ]


def test_nothing_labelled() -> None:
    with pytest.raises(InputError, match="no labelled training images"):
        labelled_subset(torch.full((3,), -1), torch.zeros(3, dtype=torch.int64), 0.1)


@pytest.mark.skipif(FOLDER is None, reason="SSLRUN_TEST_DATA is not set: no real PACS lists here")
def test_counts_of_the_official_lists_of_pacs() -> None:
    with zipfile.ZipFile(Path(FOLDER or ".") / "pacs_128.zip") as archive:
        for number, (domain, expected) in enumerate(PACS.items()):
            lines = archive.read(f"PACS/splits/{domain}_train_kfold.txt").decode().splitlines()
            labels = torch.tensor([int(line.split()[1]) for line in lines if line])
            for fold in range(3):
                sizes = [
                    len(labelled_subset(labels, torch.full_like(labels, number), f, fold)) for f in (0.01, 0.05, 0.1)
                ]
                assert tuple(sizes) == expected
