"""Where `channels_last` would crash, networks are trained in the other layout; the numbers are the same."""

import pytest
import torch
import warm

from sslrun.data.images import ImageSet
from sslrun.networks.backbones import build_backbone
from sslrun.networks.layout import trained_channels_last
from sslrun.recipe.schema import Backbone, Digits, Network, Recipe, SimClr, Training, Views
from sslrun.training.pretrain import Trainer, assemble

CPU = torch.device("cpu")


def trainer(side: int, channels_last: bool = True, width: int = 8) -> tuple[Trainer, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x_NCHW = torch.randint(256, (16, 3, side, side), dtype=torch.uint8, generator=generator)
    backbone = Backbone(kind="small_resnet", width=width)
    recipe = Recipe(
        name="narrow",
        data=Digits(kind="digits"),
        views=Views(blur=None),
        network=Network(backbone=backbone),
        method=SimClr(kind="simclr"),
        training=Training(epochs=3, batch_size=16, channels_last=channels_last),
    )
    images = ImageSet(x_NCHW, torch.full((16,), -1))
    return assemble(recipe, build_backbone(backbone, 3, 0), images, CPU), x_NCHW


def steps(side: int) -> None:
    torch.set_num_threads(1)
    ours, x_NCHW = trainer(side)
    plain, _ = trainer(side, channels_last=False)
    torch.testing.assert_close(ours.step(x_NCHW, 0), plain.step(x_NCHW, 0))
    for iteration in (1, 2):
        ours.step(x_NCHW, iteration)


@pytest.mark.parametrize("side", [48, 64, 96])
def test_a_narrow_network_is_trained_on_larger_pictures(side: int) -> None:
    # In a process of its own, which a write beyond an array would end.
    process = warm.process(lambda: steps(side))
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said


@pytest.mark.parametrize(("width", "last"), [(8, False), (15, False), (16, True)])
def test_layout_by_channels(width: int, last: bool) -> None:
    network = build_backbone(Backbone(kind="small_resnet", width=width), 3, 0)
    assert trained_channels_last(True, network, CPU) == last
    assert trained_channels_last(True, network, torch.device("cuda"))
    assert not trained_channels_last(False, network, CPU)
    made, x_NCHW = trainer(16, width=width)
    (view, *_) = made.views(x_NCHW, made.views.draw(len(x_NCHW), 0, 0))
    for tensor in (view, made.method.encoder.get_parameter("layer2.0.conv1.weight")):
        assert tensor.is_contiguous(memory_format=torch.channels_last) == last
