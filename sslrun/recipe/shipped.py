"""The recipes and grids that come with the package, found by name from anywhere.

In a wheel they lie in `sslrun/recipes`, in a checkout in `recipes` beside the package. A grid is a file with `base:`.
"""

import re
from functools import cache
from itertools import takewhile
from pathlib import Path

_BASE = re.compile(r"^base:", re.MULTILINE)


@cache
def shipped() -> dict[str, Path]:
    """Each shipped recipe by its name without `.yaml` (`quickstart`, `directpred/table1`), in alphabetical order."""
    return {name: path for name, path in _files().items() if not _BASE.search(path.read_text(encoding="utf-8"))}


@cache
def shipped_grids() -> dict[str, Path]:
    """Each shipped grid by its name without `.yaml` (`ablations`), in alphabetical order."""
    return {name: path for name, path in _files().items() if _BASE.search(path.read_text(encoding="utf-8"))}


def about(path: Path) -> str:
    """What a recipe or grid says of itself: the first sentence of the comment that it begins with."""
    comment = takewhile(lambda line: re.match("# ?\\S", line), path.read_text(encoding="utf-8").splitlines())
    return " ".join(line.lstrip("# ") for line in comment).partition(". ")[0].rstrip(".")


def _files() -> dict[str, Path]:
    package = Path(__file__).resolve().parents[1]
    folders = [package / "recipes"]
    if (package.parent / "pyproject.toml").is_file():
        folders.append(package.parent / "recipes")
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}
