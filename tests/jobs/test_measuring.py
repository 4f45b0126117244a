"""What a run will cost, from a few timed steps: what is counted, against counts by hand."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sslrun.data.images import ImageSet
from sslrun.jobs import measuring, places
from sslrun.jobs.measuring import measure
from sslrun.recipe import read_recipe
from sslrun.training.pretrain import Trainer, assemble
from sslrun.training.starting import starting_encoder


@pytest.mark.parametrize(("side", "styles", "timed"), [(16, 1, 128), (224, 1, 2), (224, 3, 6), (96, 1, 10)])
def test_on_a_cpu_large_images_are_timed_in_smaller_batches(
    side: int, styles: int, timed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    style = f"views.style={{kind: bss, styles: {styles}}}"
    recipe = read_recipe("quickstart", [f"views.size={side}", style, "training.batch_size=128", "run.device=cpu"])
    seen: list[int] = []

    def step(self: Trainer, images_NCHW: torch.Tensor, phase: int) -> torch.Tensor:
        seen.append(len(images_NCHW))
        return torch.zeros(())

    monkeypatch.setattr(Trainer, "step", step)
    monkeypatch.setattr(measuring, "time", SimpleNamespace(perf_counter=lambda: 0.25 * len(seen)))  # a step's seconds
    cost = measure(recipe, places(recipe, tmp_path, tmp_path))
    assert set(seen) == {timed}
    assert cost.epoch == pytest.approx(1400 // 128 * 0.25 * 128 / timed)


@pytest.mark.parametrize(("kept", "probed"), [("[]", 1), ("[1, 3]", 1), ("[1, 3]", 3)])
def test_size_and_evaluations_are_counted(
    kept: str, probed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights of all networks, momenta of those that learn, an encoder each time one is kept; and the images that
    the encoders go over."""
    changes = [f"training.keep_encoder_at={kept}", f"evaluation.kept={'true' if probed > 1 else 'false'}"]
    recipe = read_recipe("quickstart", [*changes, "run.device=cpu"])
    monkeypatch.setattr(Trainer, "step", lambda *_: torch.zeros(()))
    monkeypatch.setattr(measuring, "_forward_seconds", lambda *_: 0.5)
    where = places(recipe, tmp_path, tmp_path)
    cost = measure(recipe, where)
    method = assemble(recipe, starting_encoder(recipe, 1), where.data.images("pretrain"), torch.device("cpu")).method
    weights = sum(value.nbytes for value in method.state_dict().values())
    momenta = sum(value.nbytes for value in method.parameters() if value.requires_grad)
    encoders = sum(value.nbytes for value in method.encoder.state_dict().values()) * (1 + kept.count(",") * 2)
    assert cost.size == weights + momenta + encoders
    assert cost.evaluation == probed * (1_400 + 397) * 0.5


def test_an_encoders_way_is_timed_for_one_image_once_it_is_warm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = read_recipe("quickstart", ["run.device=cpu", "training.batch_size=40"])
    now, took = [7.0], [100.0, 2.0]

    def extract(*_: object, **__: object) -> None:
        now[0] += took.pop(0)

    monkeypatch.setattr(measuring, "extract", extract)
    monkeypatch.setattr(measuring, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    images = ImageSet(torch.zeros(40, 1, 16, 16, dtype=torch.uint8), torch.full((40,), -1))
    cpu = torch.device("cpu")
    trainer = assemble(recipe, starting_encoder(recipe, 1), images, cpu)
    assert measuring._forward_seconds(recipe, trainer, images, cpu) == pytest.approx(2.0 / 40)
