"""Domain purity, its chance level and the domain probe against loops in NumPy and scikit-learn."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import StandardScaler, normalize
from torch import Tensor

from sslrun.data.images import ImageSet
from sslrun.errors import DataError, InputError
from sslrun.evaluation import purity, similarity
from sslrun.evaluation.analyses import analyse, balanced, plane
from sslrun.evaluation.purity import domain_probe, folds
from sslrun.recipe.schema import Analyses

Groups = tuple[Tensor, Tensor, Tensor]


def features(
    m: int = 160, d: int = 9, domains: int = 4, classes: int = 3, of_domain: float = 1.0, seed: int = 0
) -> Groups:
    """(features, labels, domains): both move the mean of the features."""
    r = np.random.default_rng(seed)
    labels, domain = r.integers(0, classes, m), r.integers(0, domains, m)
    h = r.normal(size=(classes, d))[labels] + of_domain * r.normal(size=(domains, d))[domain] + r.normal(size=(m, d))
    return torch.tensor(h).float(), torch.tensor(labels), torch.tensor(domain)


def by_loop(h: Tensor, groups: Tensor, k: int, within: Tensor | None = None, across: Tensor | None = None) -> float:
    """DP_k = 1/(Mk) Σ_i Σ_{j ∈ NN_k(i)} 1[g_j = g_i], cosine, itself excluded; in float64."""
    x, g = h.double().numpy(), groups.numpy()
    hits = 0
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i and (within is None or within[j] == within[i])]
        others = [j for j in others if across is None or across[j] != across[i]]
        s = {j: x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j]) for j in others}
        hits += sum(int(g[j] == g[i]) for j in sorted(others, key=lambda j: -s[j])[:k])
    return hits / (len(x) * k)


@pytest.mark.parametrize(("k", "seed"), [(1, 0), (10, 1), (25, 2)])
def test_purity_equals_a_loop(k: int, seed: int) -> None:
    h, labels, domains = features(seed=seed)
    nearest = purity.neighbours(h, k)
    assert purity.purity(nearest, domains) == by_loop(h, domains, k)
    assert purity.purity(nearest, labels) == by_loop(h, labels, k)
    of_class = purity.neighbours(h, k, within_M=labels)
    assert purity.purity(of_class, domains) == by_loop(h, domains, k, labels)
    assert purity.purity(of_class, labels) == 1
    across = purity.neighbours(h, k, across_M=domains)
    assert purity.purity(across, labels) == by_loop(h, labels, k, across=domains)
    assert purity.purity(across, domains) == 0


def test_chunks_and_lengths_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    h, labels, _ = features()
    expected = purity.neighbours(h, 10), purity.neighbours(h, 10, labels)
    lengths = 1 + torch.rand(len(h), 1, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(similarity, "_MOST_SIMILARITIES", 7 * len(h))
    assert torch.equal(purity.neighbours(h * lengths, 10), expected[0])
    assert torch.equal(purity.neighbours(h * lengths, 10, labels), expected[1])


def test_chance_is_the_purity_of_all_pairs_and_of_random_neighbours() -> None:
    _, labels, domains = features(m=70)
    pairs = [(i, j) for i, j in product(range(70), repeat=2) if i != j]
    assert purity.purity_chance(domains) == pytest.approx(np.mean([bool(domains[i] == domains[j]) for i, j in pairs]))
    counts = np.bincount(domains.numpy())
    assert purity.purity_chance(domains) == pytest.approx(float((counts / 70 * (counts - 1) / 69).sum()))
    per_image = [
        np.mean([bool(domains[i] == domains[j]) for j in range(70) if j != i and labels[i] == labels[j]])
        for i in range(70)
    ]
    assert purity.purity_chance(domains, labels) == pytest.approx(np.mean(per_image))
    others = [np.mean([bool(labels[i] == labels[j]) for j in range(70) if domains[j] != domains[i]]) for i in range(70)]
    assert purity.purity_chance_across(labels, domains) == pytest.approx(np.mean(others))
    lone = torch.tensor([0, 0, 0, 1]), torch.tensor([5, 5, 6, 5])  # of three images one other is of another domain
    assert purity.purity_chance_across(lone[1], lone[0]) == pytest.approx((1 + 1 + 0 + 2 / 3) / 4)


def test_features_that_know_nothing_are_at_chance() -> None:
    generator = torch.Generator().manual_seed(3)
    h = torch.randn(1200, 8, generator=generator)
    labels = torch.arange(1200) % 5
    domains = torch.arange(1200) // 5 % 4
    found = analyse(h, image_set(labels, domains), Analyses())
    assert found["domain_purity_chance"] == pytest.approx(299 / 1199)
    for name in ("domain_purity", "domain_purity_same_class", "class_purity"):
        assert found[name] == pytest.approx(found[f"{name}_chance"], abs=0.02)
    assert found["domain_purity_excess"] == found["domain_purity"] - found["domain_purity_chance"]
    assert found["cluster_purity_chance"] == 0.25
    assert 0.25 <= found["cluster_purity"] < 0.35  # five random clusters of some 240 exceed 1/4 by their best domain
    assert found["domain_probe"] == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("k", [1, 7])
def test_all_measures_at_once_are_those_of_loops(k: int) -> None:
    h, labels, domains = features(seed=k)
    found = analyse(h, image_set(labels, domains), Analyses(neighbours=k, across_domains=True))
    assert found["domain_purity"] == by_loop(h, domains, k)
    assert found["domain_purity_same_class"] == by_loop(h, domains, k, labels)
    assert found["class_purity"] == by_loop(h, labels, k)
    assert found["class_purity_across"] == by_loop(h, labels, k, across=domains)
    others = [(domains != domain) for domain in domains]
    alike = [float((labels[other] == label).double().mean()) for label, other in zip(labels, others, strict=True)]
    assert found["class_purity_across_chance"] == pytest.approx(np.mean(alike))
    without = analyse(h, image_set(labels, domains), Analyses(neighbours=k))
    assert found.keys() - without.keys() == {"class_purity_across", "class_purity_across_chance"}


def test_features_that_are_the_domain_are_pure() -> None:
    labels, domains = torch.arange(240) % 3, torch.arange(240) // 3 % 4
    noise = torch.randn(240, 4, generator=torch.Generator().manual_seed(0))
    found = analyse(torch.eye(4)[domains] + 0.01 * noise, image_set(labels, domains), Analyses(clusters=4))
    assert found["domain_purity"] == found["domain_purity_same_class"] == found["cluster_purity"] == 1
    assert found["domain_probe"] == 1
    assert found["class_purity"] == pytest.approx(found["class_purity_chance"], abs=0.1)


def test_one_feature_for_all_is_no_error() -> None:
    """A collapsed encoder: neighbours are the first in order, one of four domains is right."""
    labels, domains = torch.arange(240) % 3, torch.arange(240) // 60
    found = analyse(torch.ones(240, 5), image_set(labels, domains), Analyses())
    assert found["domain_purity"] == found["cluster_purity"] == 0.25
    assert 0 <= found["domain_probe"] <= 0.25


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), of_domain=st.floats(0, 5), m=st.integers(60, 120))
def test_bounds(seed: int, of_domain: float, m: int) -> None:
    h, labels, domains = features(m=m, of_domain=of_domain, seed=seed)
    assigned = purity.clusters(h, 3)
    assert purity.cluster_purity_chance(domains) <= purity.cluster_purity(assigned, domains) <= 1
    assert purity.cluster_purity(torch.arange(m), domains) == purity.cluster_purity(domains, domains) == 1
    assert purity.cluster_purity(torch.zeros(m, dtype=torch.int64), domains) == purity.cluster_purity_chance(domains)
    assert 0 <= purity.purity(purity.neighbours(h, 5), labels) <= 1
    order = torch.randperm(m, generator=torch.Generator().manual_seed(seed))
    for groups in (labels, domains):  # the order of the images does not matter
        assert purity.purity(purity.neighbours(h[order], 5), groups[order]) == purity.purity(
            purity.neighbours(h, 5), groups
        )


def test_clusters_are_those_of_k_means_and_their_purity_a_loop() -> None:
    h, _, domains = features()
    x = h.double().numpy()
    theirs = KMeans(7, n_init=10, random_state=0).fit(x / np.linalg.norm(x, axis=1, keepdims=True))
    ours = purity.clusters(h, 7)
    assert accuracy_score(theirs.labels_, ours.numpy()) > 0.95
    assert torch.equal(ours, purity.clusters(h, 7))
    chance = torch.randn(60, 5, generator=torch.Generator().manual_seed(1))  # without clusters, every start has its own
    unit = normalize(chance.numpy())
    alike = [
        accuracy_score(KMeans(7, n_init=purity._STARTS, random_state=n).fit_predict(unit), purity.clusters(chance, 7))
        for n in (0, 1)
    ]
    assert alike[0] == 1 > alike[1]
    hits = sum(max(int(((ours == c) & (domains == d)).sum()) for d in range(4)) for c in range(7))
    assert purity.cluster_purity(ours, domains) == hits / len(h)


def test_the_probe_is_logistic_regression_by_five_folds() -> None:
    h, labels, domains = features(m=203)
    of: NDArray[np.int64] = folds(domains, labels).numpy()
    assert sorted(np.bincount(of)) == [40, 40, 41, 41, 41]
    for domain, label in product(range(4), range(3)):  # each domain and class is dealt out evenly
        dealt = np.bincount(of[((domains == domain) & (labels == label)).numpy()], minlength=5)
        assert dealt.max() - dealt.min() <= 1
    in_turn = sorted(range(203), key=lambda n: (int(domains[n]), int(labels[n]), n))
    assert of[in_turn].tolist() == [n % 5 for n in range(203)]
    x, y = h.double().numpy(), domains.numpy()
    hits = 0
    for fold in range(5):
        scaler = StandardScaler().fit(x[of != fold])
        theirs = LogisticRegression(max_iter=5000, tol=1e-10).fit(scaler.transform(x[of != fold]), y[of != fold])
        hits += int((theirs.predict(scaler.transform(x[of == fold])) == y[of == fold]).sum())
    assert domain_probe(h, domains, labels) == hits / 203
    assert domain_probe(h, domains * 2 + 3, labels) == hits / 203  # whatever numbers the domains have


def test_the_probe_beats() -> None:
    (h, labels, domains), beats = features(), []  # type: Groups, list[int]
    domain_probe(h, domains, labels, lambda: beats.append(1))
    assert len(beats) > 5 * 5  # in each of five folds


def image_set(labels: Tensor, domains: Tensor | None, first: int = 0) -> ImageSet:
    """Images that carry their number."""
    numbers = first + torch.arange(len(labels))
    images = torch.stack([numbers // 256, numbers % 256], 1).to(torch.uint8)[:, :, None, None]
    names = ("a", "b", "c", "d")
    return ImageSet(images, labels, domains, ("v", "w", "x", "y", "z"), () if domains is None else names)


def test_balanced_images_are_equally_many_of_each_domain_and_class() -> None:
    r = np.random.default_rng(0)
    sizes = {0: 60, 1: 45, 2: 80, 3: 33}
    domains = torch.tensor(r.permutation(np.repeat(list(sizes), list(sizes.values()))))
    labels = torch.tensor(r.integers(-1, 3, len(domains)))
    cut = 90
    sets = image_set(labels[:cut], domains[:cut]), image_set(labels[cut:], domains[cut:], first=cut)
    two = domains % 2
    assert set(balanced([image_set(labels, two)], None).domains.tolist()) == {0, 1}  # type: ignore[union-attr]
    for most in (9, 1000, None):
        found = balanced(sets, most)
        index = found.images[:, 0, 0, 0].long() * 256 + found.images[:, 1, 0, 0].long()
        assert torch.equal(index, index.sort().values)
        assert torch.equal(found.labels, labels[index])
        assert found.domains is not None
        assert torch.equal(found.domains, domains[index])
        smallest = min(int(((domains == d) & (labels >= 0)).sum()) for d in range(4))
        assert found.domains.bincount().tolist() == [9 if most == 9 else smallest] * 4
        if most == 9:
            assert all(found.labels[found.domains == d].bincount().tolist() == [3, 3, 3] for d in range(4))


def test_refusals() -> None:
    h, labels, domains = features(m=40)
    with pytest.raises(InputError, match="40 neighbours of an image that has 39 others in all"):
        purity.neighbours(h, 40)
    fewest = int(labels.bincount().min())
    with pytest.raises(InputError, match=f"has {fewest - 1} others of the same class"):
        purity.neighbours(h, fewest, labels)
    others = 40 - int(domains.bincount().max())
    with pytest.raises(InputError, match=f"has {others} others of other domains"):
        purity.neighbours(h, others + 1, across_M=domains)
    with pytest.raises(InputError, match="41 clusters of 40 images"):
        purity.clusters(h, 41)
    with pytest.raises(InputError, match="5 folds of 4 images"):
        domain_probe(h[:4], domains[:4], labels[:4])
    with pytest.raises(DataError, match="no domains"):
        balanced([image_set(labels, None)], None)
    with pytest.raises(DataError, match="fewer than two domains"):
        balanced([image_set(labels, torch.zeros(40, dtype=torch.int64))], None)


def test_the_plane_is_that_of_the_first_two_principal_components() -> None:
    """Against scikit-learn's PCA of features of unit length, and where the largest coefficients decide the signs."""
    h_MD, *_ = features(of_domain=3)
    found = PCA(2).fit(unit_MD := normalize(h_MD.double().numpy()))
    signs = np.sign(found.components_[[0, 1], np.abs(found.components_).argmax(1)])
    points = plane(h_MD)
    assert points.dtype == torch.float64
    np.testing.assert_allclose(points.numpy(), found.transform(unit_MD) * signs, atol=1e-9)
