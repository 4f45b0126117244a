"""What every encoder is. The convolutional ones and `build_backbone` are in backbones.py, the transformer in vit.py."""

from torch import nn


class Encoder(nn.Module):
    """A network from images x_NCHW to pooled features h_ND with D = `feature_dim`."""

    feature_dim: int
