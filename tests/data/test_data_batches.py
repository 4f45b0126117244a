"""Batches: every image once an epoch, the same bits streamed or resident, at any first step."""

import threading
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_data import Written

from sslrun.data.batches import Batches, choose_stream
from sslrun.data.dataset import open_dataset
from sslrun.data.images import ImageSet
from sslrun.errors import InputError
from sslrun.recipe.schema import Stl10

CPU = torch.device("cpu")


def random_set(count: int) -> ImageSet:
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(0, 256, (count, 3, 5, 4), generator=generator, dtype=torch.uint8)
    return ImageSet(images, torch.full((count,), -1))


def batches(images: ImageSet, stream: bool = False, size: int = 4, device: torch.device = CPU, **more: Any) -> Batches:
    options = {"seed": 1, "last_batch": "keep", **more}
    return Batches(images, batch_size=size, device=device, stream=stream, **options)


@given(st.integers(1, 300), st.integers(0, 2**31 - 1), st.integers(0, 1000))
def test_the_order_is_a_permutation_of_its_own_for_each_seed_and_epoch(count: int, seed: int, epoch: int) -> None:
    made = batches(random_set(count), seed=seed)
    order = made.order(epoch)
    assert torch.equal(order.sort().values, torch.arange(count))
    assert torch.equal(order, made.order(epoch))
    if count > 30:  # equal by chance otherwise
        assert not torch.equal(order, made.order(epoch + 1))
        assert not torch.equal(order, batches(random_set(count), seed=seed ^ 1).order(epoch))


@pytest.mark.parametrize("last_batch", ["drop", "keep"])
@pytest.mark.parametrize("count", [12, 13, 15])
@pytest.mark.parametrize("stream", [False, True])
def test_an_epoch_gives_the_images_in_its_order(count: int, last_batch: str, stream: bool) -> None:
    images = random_set(count)
    made = batches(images, stream, last_batch=last_batch)
    found = list(made.epoch(2))
    used = torch.cat(found)
    assert len(found) == made.steps_per_epoch == (count // 4 if last_batch == "drop" else -(-count // 4))
    assert torch.equal(used, images.images[made.order(2)[: len(used)]])
    assert len(used) == (12 if last_batch == "drop" else count)


def test_streaming_from_the_cache_gives_the_same_bits(stl10: Written) -> None:
    images = open_dataset(Stl10(kind="stl10"), stl10.root).images("pretrain")
    resident, streamed = batches(images), batches(images, stream=True)
    for epoch in (0, 1):
        for first in (0, 2, 5, 6):
            left, right = list(resident.epoch(epoch, first)), list(streamed.epoch(epoch, first))
            assert len(left) == len(right) == 6 - first
            assert all(torch.equal(a, b) for a, b in zip(left, right, strict=True))
            whole = list(resident.epoch(epoch))[first:]
            assert all(torch.equal(a, b) for a, b in zip(left, whole, strict=True))


def test_a_process_reads_the_rows_that_it_wants_alone() -> None:
    images, asked = random_set(15), list[tuple[int, int]]()
    read = ImageSet(images.images.clone(), images.labels)

    def wanted(n: int, iteration: int) -> list[int]:
        asked.append((n, iteration))
        return [2, 0]

    found = list(batches(read, stream=True, wanted=wanted).epoch(3, 1))
    whole = list(batches(images).epoch(3, 1))
    assert asked == [(4, 13), (4, 14), (3, 15)]
    assert [batch.shape for batch in found] == [batch.shape for batch in whole]
    assert all(torch.equal(ours[[0, 2]], theirs[[0, 2]]) for ours, theirs in zip(found, whole, strict=True))


def test_batches_that_are_kept_are_not_overwritten() -> None:
    kept = list(batches(random_set(64), stream=True).epoch(0))
    again = [batch.clone() for batch in batches(random_set(64), stream=True).epoch(0)]
    assert all(torch.equal(a, b) for a, b in zip(kept, again, strict=True))


def reading_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("sslrun-batches")]


def test_closing_early_ends_the_thread() -> None:
    running = batches(random_set(64), stream=True).epoch(0)
    next(running)
    assert reading_threads()
    running.close()  # type: ignore[attr-defined]  # the iterator is a generator
    assert not reading_threads()


def test_what_goes_wrong_in_the_thread_is_raised() -> None:
    class Wrong(Batches):
        def order(self, epoch: int) -> torch.Tensor:
            return super().order(epoch) + 1

    wrong = Wrong(random_set(12), batch_size=4, seed=0, last_batch="drop", device=CPU, stream=True)
    with pytest.raises(IndexError):
        list(wrong.epoch(0))
    assert not reading_threads()


def test_too_few_images_for_a_batch_is_an_error_of_the_recipe() -> None:
    with pytest.raises(InputError, match="3 images don't fill one batch of 4"):
        batches(random_set(3), last_batch="drop")
    assert batches(random_set(3)).steps_per_epoch == 1


def test_auto_streams_what_takes_more_than_half_of_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    images = random_set(10)  # 600 bytes
    for free, wish, streams in (
        (1200, "auto", False),
        (1199, "auto", True),
        (1199, "never", False),
        (10**9, "always", True),
    ):
        memory = psutil.virtual_memory()._replace(available=free)
        monkeypatch.setattr(psutil, "virtual_memory", lambda memory=memory: memory)
        asked: Literal["auto", "always", "never"] = wish  # type: ignore[assignment]  # a loop over literals
        assert choose_stream(asked, images, CPU) is streams


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_streaming_gives_the_same_bits_and_neither_waits_for_the_device(tmp_path: Path) -> None:
    images, device = random_set(200), torch.device("cuda")
    resident, streamed = batches(images, device=device), batches(images, True, device=device)
    list(streamed.epoch(0))  # pinned memory and the context are made once
    torch.cuda.set_sync_debug_mode("error")
    try:
        pairs = list(zip(resident.epoch(1), streamed.epoch(1), strict=True))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.equal(a, b) for a, b in pairs)
    assert torch.equal(torch.cat([a for a, _ in pairs]).cpu(), images.images[resident.order(1)])


@pytest.mark.parametrize(
    "wrong",
    [
        {"images": torch.rand(4, 3, 5, 5)},
        {"images": torch.ones(3, 5, 5, dtype=torch.uint8)},
        {"labels": torch.zeros(3, dtype=torch.int64)},
        {"labels": torch.zeros(4)},
        {"labels": torch.tensor([0, 1, 2, 3])},
        {"domains": torch.zeros(4, dtype=torch.int64)},
    ],
)
def test_an_image_set_checks_what_it_is_given(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {
        "images": torch.ones(4, 3, 5, 5, dtype=torch.uint8),
        "labels": torch.tensor([0, 1, 2, -1]),
        "class_names": ("a", "b", "c"),
    }
    ImageSet(**right)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ImageSet(**{**right, **wrong})


def test_a_subset_takes_everything_along(tmp_path: Path) -> None:
    whole = ImageSet(
        random_set(4).images, torch.tensor([0, 1, 0, -1]), torch.tensor([1, 0, 1, 0]), ("a", "b"), ("photo", "sketch")
    )
    part = whole.subset(torch.tensor([3, 0]))
    assert torch.equal(part.images, whole.images[[3, 0]])
    assert (part.labels.tolist(), part.class_names) == ([-1, 0], ("a", "b"))
    assert part.domains is not None
    assert (part.domains.tolist(), part.domain_names) == ([0, 1], ("photo", "sketch"))
