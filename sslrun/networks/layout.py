"""In which memory layout a network is trained: as the recipe wants it, but where torch's convolutions would crash.

The loop and fine-tuning ask this, and make their images in the same layout.
"""

import torch
from torch import nn

_FLOATS = 16  # in a register of AVX-512


def trained_channels_last(wanted: bool, network: nn.Module, device: torch.device) -> bool:
    """Whether `network`, trained on `device`, is to be in `channels_last`, if that is `wanted`.

    On a CPU not where a strided 1×1 convolution has fewer than 16 input channels: its gradient writes beyond its memory
    where a register of the processor has more floats than that (torch 2.14, AVX-512). Narrow networks also have less
    exact gradients in that layout, on any processor: at width 8 and 24 pixels off by 1.5e-3 from float64's, where the
    plain layout is off by 4e-6.
    """
    if not wanted or device.type != "cpu":
        return wanted
    return not any(
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.in_channels < _FLOATS
        for module in network.modules()
    )
