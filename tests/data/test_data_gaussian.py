"""Gaussian vectors: their correlation is exact, their seed is the data's own, and only recipes that fit use them."""

from pathlib import Path

import pytest
import torch

from sslrun.data.batches import Batches
from sslrun.data.check import check
from sslrun.data.dataset import open_dataset
from sslrun.errors import RecipeError
from sslrun.recipe import read_recipe
from sslrun.recipe.schema import Gaussian

VARIANCES = (4.0, 1.0, 0.25)


def gaussian(**options: object) -> Gaussian:
    return Gaussian(kind="gaussian", **({"count": 500, "dim": 3} | options))  # type: ignore[arg-type]  # mixed options


def test_mean_and_correlation_are_exact(tmp_path: Path) -> None:
    x_ND = open_dataset(gaussian(variances=VARIANCES), tmp_path).images("pretrain").images.double()
    assert x_ND.shape == (500, 3)
    torch.testing.assert_close(x_ND.mean(0), torch.zeros(3).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(x_ND.T @ x_ND / 500, torch.tensor(VARIANCES).double().diag(), atol=1e-5, rtol=0)
    fourth = (x_ND / torch.tensor(VARIANCES).double().sqrt()).pow(4).mean()
    assert 2.5 < fourth < 3.5  # a normal distribution's is 3
    assert open_dataset(gaussian(), tmp_path).images("train").images.square().mean().item() == pytest.approx(1)


def test_the_datas_seed_draws_them(tmp_path: Path) -> None:
    first, again, other = (open_dataset(gaussian(seed=seed), tmp_path).images("pretrain") for seed in (0, 0, 1))
    assert torch.equal(first.images, again.images) and not torch.equal(first.images, other.images)
    assert first.labels.eq(-1).all() and first.images.dtype == torch.float32
    assert open_dataset(gaussian(), tmp_path).fingerprint == open_dataset(gaussian(seed=1), tmp_path).fingerprint


@pytest.mark.parametrize("stream", [False, True])
def test_batches_of_vectors_keep_their_type(tmp_path: Path, stream: bool) -> None:
    vectors = open_dataset(gaussian(), tmp_path).images("pretrain")
    batches = Batches(vectors, batch_size=50, seed=0, last_batch="drop", device=torch.device("cpu"), stream=stream)
    assert torch.equal(torch.cat(list(batches.epoch(0))), vectors.images[batches.order(0)])


def test_the_check_tells_what_they_are(tmp_path: Path) -> None:
    report = check(open_dataset(gaussian(), tmp_path))
    assert report.ok and "500 pretrain; 3 dimensions" in report.text()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("views.noise=null", "gaussian data need views.noise"),
        ("views.flip=0.5", "noise is for vectors, flip for images: set it to 0"),
        ("views.crop={}", "noise is for vectors, crop for images: set it to null"),
        ("network.backbone.kind=resnet18", "gaussian data need a linear backbone"),
        ("evaluation.knn={}", "gaussian data have no labels to judge by: set knn to null"),
        ("data.variances=[1.0]", "1 variances for 8 dimensions"),
        ("data.count=8", "8 vectors can't have every correlation"),
        ("data.limit=100", "another correlation than asked for"),
        ("network.backbone.stem=cifar", "stem 'cifar' is for ResNets, not for linear"),
    ],
)
def test_what_does_not_go_with_vectors_is_refused(change: str, what: str) -> None:
    with pytest.raises(RecipeError, match=what):
        read_recipe("linear_theory", [change])


@pytest.mark.parametrize(
    ("change", "what"),
    [("views.noise=0.1", "noise is for vectors"), ("network.backbone.kind=linear", "can't go into a linear backbone")],
)
def test_images_take_no_part_of_it(change: str, what: str) -> None:
    with pytest.raises(RecipeError, match=what):
        read_recipe("quickstart", [change])
