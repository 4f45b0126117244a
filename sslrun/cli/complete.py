"""What the shell offers for RECIPE, GRID and RUN once `sslrun --install-completion` has been run.

Nothing that goes wrong here may reach the command line: there is nothing to offer then.
"""

from contextlib import suppress
from pathlib import Path


def recipe_names(incomplete: str) -> list[str]:
    """Shipped recipes, and files that begin so."""
    return _names("shipped", incomplete)


def grid_names(incomplete: str) -> list[str]:
    """Shipped grids, and files that begin so."""
    return _names("shipped_grids", incomplete)


def run_names(incomplete: str) -> list[str]:
    """Runs of the results folder that the environment says, the newest first."""
    from sslrun.runs.folder import results_folder, run_folders

    with suppress(Exception):
        paths = sorted((run.path for run in run_folders(results_folder())), key=lambda path: -path.stat().st_mtime)
        return [path.name for path in paths if path.name.startswith(incomplete)]
    return []


def recipe_or_run_names(incomplete: str) -> list[str]:
    """What a command that takes either may be given."""
    return [*recipe_names(incomplete), *run_names(incomplete)]


def tag_names(incomplete: str) -> list[str]:
    """Tags of the runs there."""
    with suppress(Exception):
        from sslrun.runs.folder import results_folder, run_folders
        from sslrun.runs.notes import notes_of

        tags = {tag for run in run_folders(results_folder()) for tag in notes_of(run).tags}
        return sorted(tag for tag in tags if tag.startswith(incomplete))
    return []


def _names(kind: str, incomplete: str) -> list[str]:
    from sslrun.recipe import shipped

    with suppress(Exception):
        names = [name for name in getattr(shipped, kind)() if name.startswith(incomplete)]
        files = [str(path) for path in Path().glob(f"{incomplete}*") if path.is_dir() or path.suffix == ".yaml"]
        return [*names, *files]
    return []
