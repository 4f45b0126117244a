"""A network of one's own, told to timm: two convolutions and their mean. It needs `pip install 'sslrun[timm]'`.

network:
  backbone: {kind: timm, name: own_network}
"""

from timm.models import register_model
from torch import Tensor, nn


class OwnNetwork(nn.Module):
    """Images x_NCHW to features h_ND; `num_features` is D."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.num_features = 32
        self.first = nn.Conv2d(channels, 32, 3, stride=2, padding=1)
        self.second = nn.Conv2d(32, 32, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(32)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.norm(self.second(self.first(x_NCHW).relu())).relu().mean((2, 3))


@register_model
def own_network(in_chans: int = 3, **_: object) -> OwnNetwork:
    return OwnNetwork(in_chans)
