"""Whether a device has instructions for bf16. Where it has none, bf16 is emulated, many times slower than float32."""

from pathlib import Path

import torch

_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # Intel and AMD; Arm


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
