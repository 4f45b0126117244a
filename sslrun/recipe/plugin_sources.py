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


def digest(module: ModuleType) -> str:
    """Of all source files of a module or package, by their names and contents, and of its distribution's version."""
    file, beside = origin(module), files_beside(module)
    total = sha256()
    for path in _own(file):
        total.update(f"{path.relative_to(file.parent).as_posix()}\0".encode() + sha256(path.read_bytes()).digest())
    for path in beside:
        name = path.relative_to(_root(module)).as_posix()
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
    root = _root(module)
    if _installed(root):
        return {}
    packages = (path for path in _own(origin(module))[0].parents if path != root and root in path.parents)
    inits = [path / "__init__.py" for path in packages if (path / "__init__.py").is_file()]
    every = dict.fromkeys([*_own(origin(module)), *files_beside(module), *inits])
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in every}


def files_beside(module: ModuleType) -> list[Path]:
    """The files that are not the plug-in's own but lie beside them and are imported there by name, sorted."""
    root, found = _root(module), dict.fromkeys(_own(origin(module)))
    if _installed(root):
        return []
    own, waiting = len(found), list(found)
    while waiting:
        path = waiting.pop()
        for name in _imported(path, root):
            other = _beside(name, root)
            if other is not None and other not in found:
                found[other] = None
                waiting.append(other)
    return sorted(list(found)[own:])


def _own(file: Path) -> list[Path]:
    return sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]


def _root(module: ModuleType) -> Path:
    """The folder that it is imported from."""
    file = origin(module)
    return file.parents[module.__name__.count(".") + (file.name == "__init__.py")]


def _installed(root: Path) -> bool:
    return not {*_INSTALLED}.isdisjoint(root.parts)


def _imported(path: Path, root: Path) -> Iterator[str]:
    """The full names of all modules that a file may import, and of the packages that they are in; none of one that is
    no Python, which a package may hold too."""
    package = path.relative_to(root).parts[:-1]
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


def _beside(name: str, root: Path) -> Path | None:
    """The file below `root` that this name imports; none if it is another's."""
    top = name.partition(".")[0]
    if top == "sslrun":
        return None
    whole = root.joinpath(*name.split("."))
    path = whole / "__init__.py" if (whole / "__init__.py").is_file() else whole.with_suffix(".py")
    known = sys.modules.get(name)
    if not path.is_file() or (known is None and top in sys.stdlib_module_names):
        return None
    return path if known is None or origin(known) == path.resolve() else None
