"""What a search has found out, as Optuna draws it: how much each option matters, and what goes with which outcome.

Reads the journal that `sslrun sweep` keeps beside the search's record; `page` shows the figures.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import matplotlib
from matplotlib.figure import Figure

from sslrun.drawing import COLOURS, panels, plain, style

if TYPE_CHECKING:
    from optuna import Study

_LEAST = 4
"""Trials that ended before anything can be said of what matters."""


def search_figures(results: Path, grid: str) -> Iterator[tuple[str, Figure]]:
    """(caption, figure) of each objective of the search kept as `grid`; none if it is no search, or too young."""
    journal = results / "sweeps" / f"{grid}.journal"
    if not journal.exists():
        return
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(journal)))
    for name in optuna.get_all_study_names(storage):
        study = optuna.load_study(study_name=name, storage=storage)
        done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        if len(done) >= _LEAST:
            for objective in range(len(study.directions)):
                yield from _of_objective(study, objective)


def _of_objective(study: "Study", objective: int) -> Iterator[tuple[str, Figure]]:
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    def target(trial: Any) -> float:
        return float(trial.values[objective])

    several = f" {objective + 1}" if len(study.directions) > 1 else ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls some of these experimental
        try:
            parts = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0), target=target)
        except (ValueError, RuntimeError):  # all trials gave the same
            return
        yield f"How much of the spread of objective{several} each option makes, by fANOVA.", _importances(parts)
        caption = f"Every trial that ended: its options, and what objective{several} came of them."
        yield caption, _parallel(study, target, f"objective{several}")


@style()
def _importances(parts: Mapping[str, float]) -> Figure:
    figure, ((ax,),) = panels(1, 1, 6.6, 0.27 * len(parts) + 0.75)
    ax.hlines(range(len(parts)), 0, list(parts.values()), color=COLOURS[0], linewidth=1.2)
    ax.plot(list(parts.values()), range(len(parts)), "o", color=COLOURS[0], markersize=6)
    ax.set_yticks(range(len(parts)), [plain(name) for name in parts])
    ax.invert_yaxis()
    ax.margins(y=0.6 / len(parts))
    ax.set(xlabel="part of the spread", xlim=(0, None))
    return figure


def _parallel(study: "Study", target: Callable[[Any], float], name: str) -> Figure:
    """Optuna's own drawing, in our colours; pyplot, which it was made by, forgets it."""
    from matplotlib import pyplot
    from optuna.visualization.matplotlib import plot_parallel_coordinate

    matplotlib.use("agg")
    with matplotlib.rc_context():
        ax = plot_parallel_coordinate(study, target=target, target_name=name)
    figure = cast(Figure, ax.figure)
    pyplot.close(figure)
    figure.set_size_inches(8.5, 3.6)
    ax.set_title("")
    for part in figure.axes:
        part.grid(False)
        part.set_facecolor("white")
        part.tick_params(which="both", labelsize=8)
        part.yaxis.label.set_fontsize(8.5)
    for lines in ax.collections:
        lines.set_cmap("viridis")
    names = sorted({option for trial in study.get_trials(deepcopy=False) for option in trial.params})
    if len(names) + 1 == len(ax.get_xticks()):  # Optuna cuts long names
        shorts = [plain(option.rpartition(".")[2]) for option in names]
        ax.set_xticks(ax.get_xticks(), [name, *shorts], rotation=0, ha="center")
    return figure
