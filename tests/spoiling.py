"""What power cuts, copies that stopped half-way and other hands make of the files of a run."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

PLAIN: list[Any] = [None, "text", "", "[1]", True, -1, 1.5, 10**400, 1e308, float("nan")]
VALUES: list[Any] = [*PLAIN, [], {}, ["a"], {"a": 1}, [[1]]]


def spoilt(whole: bytes, draw: Random) -> bytes:
    """A file of that content after one mishap."""
    if not whole:
        return draw.choice([b"\0" * 40, b"[]", b"{"])
    ways: list[Callable[[bytes, Random], bytes]] = [
        lambda whole, _: b"",
        lambda whole, _: bytes(len(whole)),
        lambda whole, draw: whole[: draw.randrange(len(whole))],
        lambda whole, draw: whole[: draw.randrange(len(whole))] + bytes(draw.randrange(1, 600)),
        lambda whole, _: whole + whole,
        lambda whole, _: b"[" * 100_000,
        lambda whole, draw: draw.randbytes(draw.randrange(1, 300)),
        _bytes_changed,
        _value_changed,
        _value_changed,
        _value_changed,
        _line_changed,
    ]
    return draw.choice(ways)(whole, draw)


def _bytes_changed(whole: bytes, draw: Random) -> bytes:
    changed = bytearray(whole)
    for _ in range(draw.choice([1, 1, 3, 20])):
        changed[draw.randrange(len(whole))] = draw.randrange(256)
    return bytes(changed)


def _line_changed(whole: bytes, draw: Random) -> bytes:
    lines = whole.split(b"\n")
    at = draw.randrange(len(lines))
    lines[at] = draw.choice([b"", b"\0\0\0", b"[1]", b"null", b"{}", lines[0], lines[-1], lines[at][::-1]])
    return b"\n".join(lines)


def _value_changed(whole: bytes, draw: Random) -> bytes:
    """One value of a JSON file, or of a line of such values, replaced or taken away."""
    lines = whole.split(b"\n")
    at = draw.randrange(len(lines))
    for text, rest in ((whole, None), (lines[at], lines)):
        try:
            value = json.loads(text)
        except ValueError:
            continue
        places = list(_places(value))
        if not places:
            return json.dumps(draw.choice(VALUES)).encode()
        inside, key = draw.choice(places)
        if draw.random() < 0.2:
            del inside[key]
        else:
            inside[key] = draw.choice(VALUES)
        new = json.dumps(value).encode()
        return new if rest is None else b"\n".join([*lines[:at], new, *lines[at + 1 :]])
    return _bytes_changed(whole, draw)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def files_of(folder: Path) -> list[Path]:
    """The files of a run that hold anything."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
