"""Lengths of time, as users write them (`90s`, `30m`, `6h`) and read them (`0:19`, `2:03:07`)."""

import re

from sslrun.errors import InputError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])\s*")


def seconds(text: str, option: str) -> float:
    """`1h30m` as 5400.0. Raises `InputError` naming the option for anything else."""
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip() or all(float(number) == 0 for number, _ in parts):
        raise InputError(f"{text!r} is not a length of time", where=option, remedy="Write 90s, 30m, 6h, 2d or 1h30m.")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def clock(length: float) -> str:
    """Seconds as `0:19`, `59:59`, `2:03:07`, or `3d 4h`."""
    whole = round(length)
    if whole >= 100 * 3600:
        return f"{whole // 86400}d {whole % 86400 // 3600}h"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
