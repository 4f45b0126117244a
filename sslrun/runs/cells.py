"""What the evaluations of a run are called, and each number of theirs: written and taken apart here and nowhere else.

`folder` names files by `CellName`, `table` columns by `Number`; a history holds the numbers of `evaluation.every`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

BASELINES = ("untrained", "pixels")
"""What a run is compared with: the encoder that its training starts from, and raw pixels."""
ACCURACY, SECONDS = "accuracy", "seconds"
_PROBE = "probe."


@dataclass(frozen=True, order=True)
class CellName:
    """One evaluation of a run: its kind, and the epoch after which the encoder was kept (None: the last one)."""

    kind: str
    epoch: int | None = None

    def __str__(self) -> str:
        """`knn`, `knn@100`."""
        return self.kind if self.epoch is None else f"{self.kind}@{self.epoch}"

    @property
    def stem(self) -> str:
        """How the name of its file begins: `knn`, `knn-epoch100`."""
        return self.kind if self.epoch is None else f"{self.kind}-epoch{self.epoch}"

    @classmethod
    def parse(cls, text: str) -> "CellName":
        """From `knn` or `knn@100`. Raises `ValueError` for an epoch that is no number."""
        kind, at, epoch = text.partition("@")
        return cls(kind, int(epoch) if at else None)


@dataclass(frozen=True)
class Number:
    """One number of an evaluation: of the run, or of a baseline under the same evaluation."""

    kind: str
    epoch: int | None = None
    metric: str = ACCURACY
    """As the evaluation calls it; may have dots of its own (`1.avg`). `seconds` is what the cell took."""
    baseline: str | None = None
    settings: str = ""
    """Where they differ from the recipe's: `k=20`."""

    def __str__(self) -> str:
        """As columns are called: `knn`, `untrained.knn@100`, `linear.train_accuracy`, `knn[k=20]`."""
        name = (f"{self.baseline}." if self.baseline else "") + self.kind
        name += f"[{self.settings}]" if self.settings else ""
        name += "" if self.epoch is None else f"@{self.epoch}"
        return name + ("" if self.metric == ACCURACY else f".{self.metric}")

    @property
    def key(self) -> str:
        """As the metrics of its cell call it: `accuracy`, `untrained.accuracy`."""
        return f"{self.baseline}.{self.metric}" if self.baseline else self.metric

    @property
    def signal(self) -> str:
        """As a run's history calls it where it was taken on the way: `probe.knn.accuracy`."""
        return f"{_PROBE}{self.kind}.{self.key}"

    @classmethod
    def of_key(cls, cell: CellName, key: str, settings: str = "") -> "Number":
        """The number that the metrics of a cell call `key`."""
        baseline, _, metric = key.partition(".")
        if baseline in BASELINES:
            return cls(cell.kind, cell.epoch, metric, baseline, settings)
        return cls(cell.kind, cell.epoch, key, None, settings)

    @classmethod
    def of_signal(cls, name: str) -> "Number | None":
        """The number that a history calls so; None for a signal of training."""
        kind, _, key = name.removeprefix(_PROBE).partition(".")
        return cls.of_key(CellName(kind), key) if name.startswith(_PROBE) else None


def main_numbers(numbers: Iterable[Number]) -> list[Number]:
    """What is looked at first: each evaluation's accuracy; else its averages over domains, or its first metric."""
    own = [number for number in numbers if number.baseline is None]
    found = []
    for accuracy in dict.fromkeys(replace(number, metric=ACCURACY) for number in own):
        cell = [number for number in own if replace(number, metric=ACCURACY) == accuracy]
        averages = [number for number in cell if number.metric.rpartition(".")[2] == "avg"]
        found += [accuracy] if accuracy in cell else averages or cell[:1]
    return found
