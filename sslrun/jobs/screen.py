"""What one sees while a run trains: a first line, then one live line (plain lines without a terminal, and in logs)."""

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from sslrun import console
from sslrun.data.images import ImageSet
from sslrun.errors import SslrunError
from sslrun.recipe.schema import Recipe
from sslrun.runs.folder import RunFolder


class Screen:
    """Shows one pretraining job: pass `begin`, `watch` and `say` to it, inside `with Screen(...) as screen`.

    `first_line` is of the run's folder, its images and the epochs done before. `quiet` shows nothing; unless `logged`
    is False, what is or would be shown is kept in the run's log too.
    """

    def __init__(
        self,
        recipe: Recipe,
        first_line: Callable[[RunFolder, ImageSet, int], str],
        *,
        quiet: bool = False,
        logged: bool = True,
    ) -> None:
        self.recipe, self.first_line, self.quiet, self.logged = recipe, first_line, quiet, logged
        self._stack = ExitStack()
        self._live: console.Live | None = None
        self._text = ""

    def __enter__(self) -> "Screen":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, SslrunError):
            console.note(str(error))  # there may be nobody left to read what the command says in the end
        self._stack.close()

    def say(self, text: str) -> None:
        """A line of its own."""
        (console.note if self.quiet else console.say)(text)

    def begin(self, folder: RunFolder, images: ImageSet | None) -> None:
        """The run is held; with images, training starts now."""
        if images is None:
            self.say(f"{folder.path.name}   already done")
            return
        if self.logged:
            self._stack.enter_context(console.logging_to(folder.log))
        last = folder.history.last()
        start = last["epoch"] if last else 0
        self.say(self.first_line(folder, images, start))
        if self.quiet:
            return
        self._live = self._stack.enter_context(console.progress("epoch", self.recipe.training.epochs, start))

    def watch(self, row: dict[str, Any]) -> None:
        """Where training stands: a finished epoch's row, or `epoch`, `step` and `steps` within one."""
        if "std" in row:
            loss = "untrained: " if row["loss"] is None else f"loss {row['loss']:.3f}  "
            speed = f"  {row['images_per_second']:,.0f} img/s" if row["images_per_second"] else ""
            self._text = f"{loss}std {row['std']:.2f}  rank {row['rank']:.1f} of {len(row['spectrum'])}{speed}"
            if self._live is not None:
                self._live.update(row["epoch"], self._text)
            elif self.quiet:
                console.note(f"epoch {row['epoch']}/{self.recipe.training.epochs}  {self._text}")
        elif self._live is not None:
            self._live.update(row["epoch"] + row["step"] / row["steps"], self._text)
