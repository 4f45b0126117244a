"""Shipped recipes and grids changed at random, many ways at once; `python tests/recipe/changed_texts.py 5000` tries
so many and prints those that end in another error than a designed one."""

import random
import sys
import tempfile
import traceback
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from sslrun.errors import SslrunError
from sslrun.grids import read_grid
from sslrun.recipe import Recipe, read_recipe
from sslrun.recipe.introspect import dotted
from sslrun.recipe.shipped import shipped, shipped_grids

WORDS = sorted({word for path in dotted(Recipe) for word in path.split(".")} | {"kind", "base", "axes", "seeds", "x"})
ODD: list[Any] = [
    *(None, True, "", "x", "kind", "byol", "\x1b[31m", "a\nb", "=1+1", "~", "*", "&a", "{", "0x1F", "1e400", "\u202e"),
    *(0, -1, 1, 2**31, 10**18, -(10**18), 1e-300, 1e300, -1e300, 0.1, [], {}, [[]], [{}], {"": None}, [None, "x", 1]),
    *("x" * 300, "../" * 20, "a\0b", {"kind": "x"}, {"kind": {}}, {"kind": []}, {"kind": None, "x": 1}, {"a.b": {}}),
]
MARKS = "{}[]:,-?!&*#|>'\"%@`~<=. \n\t\\\0\x1b\ufeff\u2028"
SMALL_GRIDS = ("ablations_digits", "bss/digits_styles_udg", "directpred/table9", "search_digits")


def texts() -> list[tuple[str, bool]]:
    """The texts to change, each with whether it is a grid's."""
    recipes = [(path.read_text(), False) for path in shipped().values()]
    return [*recipes, *((shipped_grids()[name].read_text(), True) for name in SMALL_GRIDS)]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything in plain values."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


def changed(text: str, draw: random.Random) -> str:
    """The text with one to four changes: of its values, of its keys, or of its letters."""
    if draw.random() < 0.3:
        for _ in range(draw.randint(1, 4)):
            at, length = draw.randrange(len(text)), draw.choice([0, 0, 1, 5, 40])
            piece = "".join(
                draw.choice([*MARKS, *MARKS, f"\n{draw.choice(WORDS)}: "]) for _ in range(draw.randint(0, 3))
            )
            text = text[:at] + piece + text[at + length :]
        return text
    values = yaml.safe_load(text)
    if draw.random() < 0.3:
        values[draw.choice(["kind", "kind", *WORDS])] = deepcopy(draw.choice(ODD))
    for _ in range(draw.randint(1, 3)):
        within, key = draw.choice(list(places(values)) or [({}, "")])
        way = draw.randrange(4)
        if way == 0 and isinstance(within, dict):
            within.pop(key, None)
        elif way == 1 and isinstance(within, dict):
            within[draw.choice(WORDS)] = deepcopy(draw.choice(ODD))
        elif way == 2 and isinstance(within, dict) and key in within:
            within[draw.choice([*WORDS, *(odd for odd in ODD if isinstance(odd, str))])] = within.pop(key)
        elif within:
            within[key] = deepcopy(draw.choice(ODD))
    return yaml.safe_dump(values, allow_unicode=True, sort_keys=False)


def trouble(text: str, grid: bool, folder: Path) -> str:
    """What reading a text raises that is no designed error; empty if nothing."""
    path = folder / "changed.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        (read_grid if grid else read_recipe)(path)
    except SslrunError as error:
        return "" if error.exit_code == 2 and error.where else f"exit code {error.exit_code}, at {error.where}: {error}"
    except Exception:  # whatever is not designed is what is looked for
        return traceback.format_exc()
    return ""


def main(count: int) -> None:
    every, found = texts(), 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(count):
            draw = random.Random(seed)
            text, grid = draw.choice(every)
            if why := trouble(changed(text, draw), grid, Path(folder)):
                found += 1
                print(seed, why)
    print(f"{found} of {count}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
