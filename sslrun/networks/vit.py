"""The vision transformer (arXiv 2010.11929), torchvision's modules under its names, at any size.

Beyond torchvision's own forward pass it can see a part of the patches only, for MSN (`sslrun.methods.msn`), and views
of another side. `sslrun.networks.backbones` builds it.

Shapes: N images, C channels, H × W pixels, P patches of which M are kept, D features.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslrun.networks.encoder import Encoder
from sslrun.recipe.schema import Backbone


class ViT(Encoder):
    """torchvision's VisionTransformer, whose `heads` is the identity: the features are the class token's output.

    `side` is the side of the views that its positions are made for; the section's `patch` divides it. Hidden layers
    are four times as wide as the tokens.
    """

    def __init__(self, section: Backbone, *, channels: int, side: int) -> None:
        from torchvision.models import VisionTransformer  # here, as in backbones.py

        super().__init__()
        width, patch = section.width, section.patch
        whole = VisionTransformer(side, patch, section.depth, section.heads, width, 4 * width, num_classes=1)
        self.class_token: nn.Parameter = whole.class_token
        self.conv_proj: nn.Conv2d = whole.conv_proj
        self.encoder: nn.Module = whole.encoder
        self.heads = nn.Identity()
        if channels != 3:
            self.conv_proj = nn.Conv2d(channels, width, patch, stride=patch)
            nn.init.trunc_normal_(self.conv_proj.weight, std=math.sqrt(1 / (channels * patch**2)))
            nn.init.zeros_(self.conv_proj.bias)  # type: ignore[arg-type]  # typed as perhaps None
        self.grid, self.feature_dim = side // patch, width

    def forward(self, x_NCHW: Tensor, keep_NM: Tensor | None = None) -> Tensor:
        """Features of square views, from all patches or, of each image, from those that `keep_NM` lists by index.

        The class token is always kept, and each patch keeps its position: dropping comes after positions are added.
        """
        x_NDGG = self.conv_proj(x_NCHW)
        first_11D, others_1PD = self._positions(x_NDGG.shape[-1])
        x_NPD = x_NDGG.flatten(2).transpose(1, 2) + others_1PD
        if keep_NM is not None:
            x_NPD = x_NPD.gather(1, keep_NM[..., None].expand(-1, -1, x_NPD.shape[-1]))
        class_N1D = (self.class_token + first_11D).expand(len(x_NPD), -1, -1)
        tokens_NTD = self.encoder.ln(self.encoder.layers(torch.cat([class_N1D, x_NPD], dim=1)))  # type: ignore[operator]
        h_ND: Tensor = self.heads(tokens_NTD[:, 0])
        return h_ND

    def _positions(self, grid: int) -> tuple[Tensor, Tensor]:
        """The class token's position, and those of `grid` × `grid` patches: interpolated (bicubic) from its own."""
        positions_1TD: Tensor = self.encoder.pos_embedding  # type: ignore[assignment]  # a module's attributes are untyped
        first_11D, others_1PD = positions_1TD[:, :1], positions_1TD[:, 1:]
        if grid != self.grid:
            own_1DGG = others_1PD.unflatten(1, (self.grid, self.grid)).permute(0, 3, 1, 2)
            others_1PD = F.interpolate(own_1DGG, (grid, grid), mode="bicubic").flatten(2).transpose(1, 2)
        return first_11D, others_1PD
