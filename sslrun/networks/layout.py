"""In which memory layout a network is trained: as the recipe wants it, but where torch's convolutions would crash.

The loop and fine-tuning ask this, and make their images in the same layout.
"""

import torch
from torch import nn


def trained_channels_last(wanted: bool, network: nn.Module, device: torch.device) -> bool:
    """Whether `network`, trained on `device`, is to be in `channels_last`, if that is `wanted`.

    On a CPU not where a strided 1×1 convolution has fewer input channels than a register of the processor has floats:
    its gradient writes beyond its memory there (torch 2.14; 16 floats with AVX-512, 8 with AVX2). The other layout
    gives the same numbers up to rounding.
    """
    if not wanted or device.type != "cpu":
        return wanted
    floats = 8 if torch.backends.cpu.get_cpu_capability() == "AVX2" else 16
    return not any(
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.in_channels < floats
        for module in network.modules()
    )
