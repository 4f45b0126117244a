"""sslrun from Python: what the commands do, for scripts and notebooks (`import sslrun; sslrun.pretrain("quickstart")`).

Nothing is printed on stdout, and what goes wrong is raised (`sslrun.errors`). Runs are those of the command line: the
same science is the same folder, finished work is found and not done again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sslrun.errors import InputError, RunFailed
from sslrun.jobs import choose_device, evaluate_run, places, pretrain_job
from sslrun.jobs.exporting import finished_encoder
from sslrun.jobs.exporting import load_encoder as _load_encoder
from sslrun.paths import user_path
from sslrun.recipe import Recipe, read_recipe
from sslrun.recipe.plugins import load_all
from sslrun.runs import load_runs
from sslrun.runs.folder import RunFolder, results_folder
from sslrun.runs.records import EvaluationRecord, State
from sslrun.runs.resolving import resolve
from sslrun.runs.table import evaluation_numbers

if TYPE_CHECKING:
    import pandas
    from torch import nn

__all__ = ["Run", "evaluate", "load_encoder", "load_runs", "pretrain", "sweep"]


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, its verdict (see `sslrun.training.diagnostics`), and the numbers of its evaluations
    by the names of `load_runs`' columns (`knn`, `untrained.knn`, `linear.train_accuracy`, ...)."""

    path: Path
    verdict: str | None
    metrics: Mapping[str, float]


def pretrain(
    recipe: str | Path | Recipe,
    changes: Sequence[str] = (),
    *,
    results: str | Path | None = None,
    data: str | Path | None = None,
    imports: Sequence[str | Path] = (),
    fresh: bool = False,
) -> Run:
    """Pretrain and evaluate a recipe (a file, the name of a shipped one, or one read before), or find its run.

    `changes` are `key=value`, as after `--set`. Raises `SslrunError`s, as the command ends with them.
    """
    _check_texts(changes=changes)
    if isinstance(recipe, Recipe) and changes:
        raise TypeError("changes are for recipes that are read here; change a Recipe with model_copy")
    plan = recipe if isinstance(recipe, Recipe) else read_recipe(recipe, changes, imports=imports)
    folder, cells = pretrain_job(plan, places(plan, _path(results), _path(data)), fresh=fresh)
    return _run(folder, cells)


def evaluate(
    run: str | Path | Run,
    kinds: Sequence[str] = (),
    changes: Sequence[str] = (),
    *,
    at: int | None = None,
    results: str | Path | None = None,
    data: str | Path | None = None,
    imports: Sequence[str | Path] = (),
) -> Run:
    """Judge a finished run by `kinds` of evaluation (those of its recipe if none is named); gives the run with these
    numbers.

    `at` judges the encoder that was kept after that epoch. `changes` may set `evaluation.*` and `run.*`.
    """
    _check_texts(kinds=kinds, changes=changes)
    if any("=" in kind for kind in kinds):
        raise TypeError('kinds are names of evaluations, as "knn"; "key=value" is for changes')
    folder = _folder(run, results)
    _, cells = evaluate_run(folder, kinds, changes, at=at, data=_path(data), imports=imports)
    return _run(folder, cells)


def sweep(
    grid: str | Path,
    changes: Sequence[str] = (),
    *,
    results: str | Path | None = None,
    data: str | Path | None = None,
    imports: Sequence[str | Path] = (),
    small: bool = False,
    jobs: int | None = None,
    devices_per_job: int | None = None,
    retry: bool = False,
) -> "pandas.DataFrame":
    """Do all cells of a grid on the devices of this machine (`jobs` at once on each), each run on `devices_per_job` of
    them; the table of its runs.

    Runs are processes of their own. A script that defines kinds is run again by each of them: there, call it under
    `if __name__ == "__main__":`. Raises `RunFailed` where runs were given up, now or before (`retry` does these again);
    the others are done all the same.
    """
    from sslrun.grids import read_grid
    from sslrun.sweeps.session import Options, carry_out, planned

    _check_texts(changes=changes)
    for name, count in (("jobs", jobs), ("devices_per_job", devices_per_job)):
        if count is not None and (not isinstance(count, int) or count < 1):
            raise TypeError(f"{name} is a number of at least 1, not {count!r}")
    cells = read_grid(grid, changes, small=small, imports=imports)
    if cells.space is not None:
        raise InputError("is a search", where=str(grid), remedy=f"The command does it: sslrun sweep --grid {grid}")
    options = Options(_path(results), _path(data), jobs=jobs, devices_per_job=devices_per_job, retry=retry)
    with planned(cells, options, start=True) as (plan, session):
        carry_out(plan, session, quiet=True)
        if given_up := [entry.job for entry in plan.entries if entry.state == State.FAILED and not entry.chosen]:
            names = "\n".join(f"  {job}" for job in given_up)
            what = f"{len(given_up)} of {len(plan.entries)} runs failed before"
            raise RunFailed(
                what, remedy=f"{names}\n`retry=True` does them again, `sslrun logs RUN` shows what was said."
            )
        table = load_runs(session.results)
        own = {entry.job.identity for entry in plan.entries}
    return table[table["identity"].isin(own)].reset_index(drop=True)


def load_encoder(
    run: str | Path | Run,
    *,
    results: str | Path | None = None,
    imports: Sequence[str | Path] = (),
    device: str = "cpu",
) -> "nn.Module":
    """The trained encoder of a run, or the one in a `.safetensors` file, in evaluation mode on `device`.

    It takes images (N, C, H, W), float32 from 0 to 1, less the mean and over the std of the recipe's `views.normalize`
    if that is not null, and gives features (N, D). `sslrun export` prints the lines that make one of a picture.
    `imports` are the files of plug-ins that are not here or installed.
    """
    load_all(imports)
    file = None if isinstance(run, Run) else user_path(run, "run")
    file = file if file is not None and file.is_file() else finished_encoder(_folder(run, results))
    return _load_encoder(file).to(choose_device(device)).eval()


def _check_texts(**given: Sequence[str]) -> None:
    """Raise `TypeError` for one text in place of several, or a mapping."""
    for name, texts in given.items():
        if isinstance(texts, str | Mapping) or not all(isinstance(text, str) for text in texts):
            example = '["key=value", ...]' if name == "changes" else '["knn", ...]'
            raise TypeError(f"{name} are a list of texts, {example}, not {texts!r}")


def _folder(run: str | Path | Run, results: str | Path | None) -> RunFolder:
    return RunFolder(run.path) if isinstance(run, Run) else resolve(results_folder(results), str(run))


def _run(folder: RunFolder, cells: Sequence[EvaluationRecord]) -> Run:
    asked = folder.record.recipe.get("evaluation") or {}
    numbers = {str(number): value for number, value in evaluation_numbers(cells, asked).items()}
    return Run(folder.path, folder.status.verdict, numbers)


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
