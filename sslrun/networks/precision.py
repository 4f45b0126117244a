"""bfloat16 where a recipe asks for it: the context that networks run in, and whether a device has instructions for it.

Where it has none, bf16 is emulated, many times slower than float32.
"""

from contextlib import AbstractContextManager
from pathlib import Path

import torch

_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # Intel and AMD; Arm


def mixed_precision(precision: str, device_type: str) -> AbstractContextManager[object]:
    """Autocast to bfloat16 if `precision` is bf16, else nothing."""
    return torch.autocast(device_type, dtype=torch.bfloat16, enabled=precision == "bf16")


def has_bf16(device: torch.device) -> bool | None:
    """True or False; None for a CPU whose system does not say."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8  # Ampere and later
    if device.type == "cpu":
        return _cpu_has_bf16()
    return True


def _cpu_has_bf16() -> bool | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    flags = (line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features")))
    return not _CPU_FLAGS.isdisjoint(next(flags, []))
