"""The recipes and grids that come with the package, found by name from anywhere.

In a wheel they lie in `sslrun/recipes`, in a checkout in `recipes` beside the package.
"""

from pathlib import Path


def shipped() -> dict[str, Path]:
    """Each shipped file by its name without `.yaml` (`quickstart`, `directpred/table1`), in alphabetical order."""
    package = Path(__file__).resolve().parents[1]
    folders = [package / "recipes"]
    if (package.parent / "pyproject.toml").is_file():
        folders.append(package.parent / "recipes")
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}
