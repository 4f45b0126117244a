"""The source files of a plug-in, and the digest of them that is part of a run's identity.

They are the module's own, or all of its package, and what it imports from files beside these, unless it is installed:
then its distribution's version stands for the rest. `plugins` loads it; a run keeps a copy (`jobs.pretraining`).
"""

import ast
import sys
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from types import ModuleType

_INSTALLED = ("site-packages", "dist-packages")


def origin(module: ModuleType) -> Path:
    """The file of a module."""
    return Path(module.__file__ or "").resolve()


def root(file: Path, module_name: str) -> Path:
    """The folder that a module in this file is imported from."""
    return file.parents[module_name.count(".") + (file.name == "__init__.py")]


def digest(module: ModuleType) -> str:
    """Of all source files of a module or package, by their names and contents, and of its distribution's version."""
    file, beside = origin(module), files_beside(module)
    total = sha256()
    for path in _own(file):
        total.update(f"{path.relative_to(file.parent).as_posix()}\0".encode() + sha256(path.read_bytes()).digest())
    for path in beside:
        name = path.relative_to(root(file, module.__name__)).as_posix()
        total.update(f"beside {name}\0".encode() + sha256(path.read_bytes()).digest())
    for distribution in packages_distributions().get(module.__name__.partition(".")[0], []):
        try:
            total.update(f"{distribution} {version(distribution)}\0".encode())
        except PackageNotFoundError:
            continue
    return total.hexdigest()


def sources(module: ModuleType) -> dict[str, bytes]:
    """The content of all source files, by their names below a folder that they can be imported from; nothing for a
    module that is installed."""
    top = root(origin(module), module.__name__)
    if _installed(top):
        return {}
    packages = (path for path in _own(origin(module))[0].parents if path != top and top in path.parents)
    inits = [path / "__init__.py" for path in packages if (path / "__init__.py").is_file()]
    every = dict.fromkeys([*_own(origin(module)), *files_beside(module), *inits])
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in every}


def files_beside(module: ModuleType) -> list[Path]:
    """The files that are not the plug-in's own but lie beside them and are imported there by name, sorted."""
    top, found = root(origin(module), module.__name__), dict.fromkeys(_own(origin(module)))
    if _installed(top):
        return []
    own, waiting = len(found), list(found)
    while waiting:
        path = waiting.pop()
        for name in _imported(path, top):
            other = _beside(name, top)
            if other is not None and other not in found:
                found[other] = None
                waiting.append(other)
    return sorted(list(found)[own:])


def _own(file: Path) -> list[Path]:
    return sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]


def _installed(folder: Path) -> bool:
    return not {*_INSTALLED}.isdisjoint(folder.parts)


def _imported(path: Path, top: Path) -> Iterator[str]:
    """The full names of all modules that a file may import, and of the packages that they are in; none of one that is
    no Python, which a package may hold too."""
    package = path.relative_to(top).parts[:-1]
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" if base else alias.name for alias in node.names)]
        for name in filter(None, names):
            pieces = name.split(".")
            yield from (".".join(pieces[:count]) for count in range(1, len(pieces) + 1))


def _beside(name: str, top: Path) -> Path | None:
    """The file below `top` that this name imports; none if it is another's."""
    first, known = name.partition(".")[0], sys.modules.get(name)
    if first == "sslrun" or (known is None and first in sys.stdlib_module_names):
        return None
    whole = top.joinpath(*name.split("."))
    path = whole / "__init__.py" if (whole / "__init__.py").is_file() else whole.with_suffix(".py")
    return path if path.is_file() and (known is None or origin(known) == path.resolve()) else None
