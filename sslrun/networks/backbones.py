"""The encoders: images in, pooled features h_ND out, under torchvision's parameter names and without its last layer.

A backbone's weights come from a seed of its own and leave the global generator as it was. The transformer is in
vit.py, timm's networks are made in from_timm.py, the projector that stands on top in heads.py, files of weights in
weights.py; training/pretrain.py trains.

Shapes: N images, C channels, H × W pixels, D features.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sslrun.errors import InputError
from sslrun.networks.encoder import Encoder
from sslrun.networks.from_timm import timm_encoder
from sslrun.networks.vit import ViT
from sslrun.recipe.schema import Backbone

# torchvision is imported where a network is built: it takes seconds, and schedulers and reports build none.
_BLOCKS = {
    "resnet18": ("BasicBlock", (2, 2, 2, 2)),
    "resnet50": ("Bottleneck", (3, 4, 6, 3)),
    "small_resnet": ("BasicBlock", (1, 1, 1)),
}


class ResNet(Encoder):
    """A residual network of any width and number of stages (arXiv 1512.03385) from torchvision's blocks.

    The first stage has `width` channels, each further one twice as many at half the side. With `width` 64, four
    stages and batch norm it is torchvision's, whose `fc` is the identity. `norm` makes the layer after a convolution
    from its number of channels.
    """

    def __init__(
        self,
        block: Any,
        depths: tuple[int, ...],
        *,
        channels: int,
        width: int,
        cifar_stem: bool,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.conv1 = (
            nn.Conv2d(channels, width, 3, stride=1, padding=1, bias=False)
            if cifar_stem
            else nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
        )
        self.bn1 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if cifar_stem else nn.MaxPool2d(3, stride=2, padding=1)
        inplanes, names = width, []
        for stage, depth in enumerate(depths):
            names.append(f"layer{stage + 1}")
            self.add_module(names[-1], _stage(block, inplanes, width * 2**stage, depth, 2 if stage else 1, norm))
            inplanes = width * 2**stage * block.expansion
        self._stages = tuple(names)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Identity()
        self.feature_dim = inplanes
        _initialise(self)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x_NCHW))))
        for name in self._stages:
            x = self.get_submodule(name)(x)
        h_ND: Tensor = self.fc(self.avgpool(x).flatten(1))
        return h_ND


def group_norm(channels: int) -> nn.GroupNorm:
    """Group norm (arXiv 1803.08494) with 16 channels a group, or as few more as divide them; fewer are one group."""
    groups = next(count for count in range(max(1, channels // 16), 0, -1) if channels % count == 0)
    return nn.GroupNorm(groups, channels)


class DenseNet(Encoder):
    """torchvision's DenseNet-121 (arXiv 1608.06993); its `classifier` is the identity."""

    feature_dim = 1024

    def __init__(self, *, channels: int) -> None:
        from torchvision.models import densenet121

        super().__init__()
        self.features = densenet121(weights=None).features
        if channels != 3:
            self.features.conv0 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(self.features.conv0.weight)
        self.classifier = nn.Identity()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        x = self.features(x_NCHW).relu()
        h_ND: Tensor = self.classifier(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return h_ND


class Linear(Encoder):
    """One matrix without bias, W of the theory (arXiv 2102.06810), from vectors x_NC to h_ND.

    It starts as ½ · (orthogonal rows), so that on isotropic data F = W Wᵀ starts as ¼ · I and shares its eigenvectors
    with any symmetric predictor. (With more outputs than inputs, its columns are orthogonal.)
    """

    def __init__(self, *, channels: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, channels))
        nn.init.orthogonal_(self.weight, gain=0.5)
        self.feature_dim = width

    def forward(self, x_NC: Tensor) -> Tensor:
        return nn.functional.linear(x_NC, self.weight)


def build_backbone(section: Backbone, channels: int, seed: int, side: int | None = None) -> Encoder:
    """The recipe's encoder for images of `channels` channels, with weights drawn from `seed`.

    Weights start as torchvision starts them; those of `Linear` are orthogonal. A transformer's positions are made for
    views of `side` pixels; raises `InputError` if it isn't given them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if section.kind == "densenet121":
            return DenseNet(channels=channels)
        if section.kind == "linear":
            return Linear(channels=channels, width=section.width)
        if section.name is not None:
            return timm_encoder(section.name, channels=channels, side=side)
        if section.kind == "vit":
            if side is None:
                raise InputError("a vit is built for views of one side, and none is given", where="views.size")
            return ViT(section, channels=channels, side=side)
        from torchvision.models import resnet

        name, depths = _BLOCKS[section.kind]
        block = getattr(resnet, name)
        cifar_stem = section.kind == "small_resnet" or section.stem == "cifar"
        norm = nn.BatchNorm2d if section.norm == "batch" else group_norm
        return ResNet(block, depths, channels=channels, width=section.width, cifar_stem=cifar_stem, norm=norm)


def _stage(
    block: Any, inplanes: int, planes: int, depth: int, stride: int, norm: Callable[[int], nn.Module]
) -> nn.Sequential:
    outplanes = planes * block.expansion
    downsample = None
    if stride != 1 or inplanes != outplanes:
        downsample = nn.Sequential(nn.Conv2d(inplanes, outplanes, 1, stride=stride, bias=False), norm(outplanes))
    first = block(inplanes, planes, stride, downsample, norm_layer=norm)
    return nn.Sequential(first, *(block(outplanes, planes, norm_layer=norm) for _ in range(depth - 1)))


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
