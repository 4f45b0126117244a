"""What one sees while a run trains: its headline, then one live line (plain lines without a terminal).

`sslrun.jobs.pretrain_job` calls a `Screen`; the line itself is `sslrun.console`'s, the headline `summary`'s.
"""

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sslrun import console
from sslrun.recipe.schema import Recipe
from sslrun.report.summary import headline
from sslrun.runs.folder import RunFolder

if TYPE_CHECKING:
    from sslrun.data.images import ImageSet


class Screen:
    """Shows one pretraining job: pass `begin`, `watch` and `say` to it, inside `with Screen(...) as screen`."""

    def __init__(self, recipe: Recipe, device: str, quiet: bool = False) -> None:
        self.recipe, self.device, self.quiet = recipe, device, quiet
        self._stack = ExitStack()
        self._live: console.Live | None = None
        self._text = ""

    def __enter__(self) -> "Screen":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def say(self, text: str) -> None:
        """A line of its own."""
        if not self.quiet:
            console.say(text)

    def begin(self, folder: RunFolder, images: "ImageSet | None") -> None:
        """The run is held; with images, training starts now."""
        if self.quiet:
            return
        if images is None:
            console.say(f"{folder.path.name}   already done")
            return
        self._stack.enter_context(console.logging_to(folder.log))
        console.say(headline(self.recipe, folder, len(images), images.images.shape[-1], self.device))
        last = folder.history.last()
        start = last["epoch"] if last else 0
        if start:
            console.say(f"going on after epoch {start}")
        self._live = self._stack.enter_context(console.progress("epoch", self.recipe.training.epochs, start))

    def watch(self, row: dict[str, Any]) -> None:
        """Where training stands: a finished epoch's row, or `epoch`, `step` and `steps` within one."""
        if self._live is None:
            return
        if "std" in row:
            loss = f"loss {row['loss']:.3f}  " if row["loss"] is not None else ""
            speed = f"  {row['images_per_second']:,.0f} img/s" if row["images_per_second"] else ""
            self._text = f"{loss}std {row['std']:.2f}  rank {row['rank']:.1f} of {len(row['spectrum'])}{speed}"
            self._live.update(row["epoch"], self._text)
        else:
            self._live.update(row["epoch"] + row["step"] / row["steps"], self._text)
