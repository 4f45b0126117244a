"""What state a run is in: the contents of `status.json`.

Who works on it at the moment is the lease's to say (`sslrun.runs.lease`): a run whose process was killed still
says `running` here.
"""

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, get_args

State = Literal["queued", "running", "pruned", "done", "collapsed", "failed"]
"""`pruned`: ended before its time by a search that had seen enough; asked for again, it goes on."""


def utc_now() -> str:
    """The time now, as kept in a run's files: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Status:
    """One run's state. Times are ISO 8601 in UTC; `evidence` holds the numbers on which the verdict rests."""

    state: State = "queued"
    created: str = ""
    started: str | None = None
    finished: str | None = None
    seconds: float = 0.0
    """Seconds spent at work, over all its sessions."""
    epoch: int = 0
    """Epochs finished."""
    epochs: int | None = None
    """Epochs asked for."""
    threads: int | None = None
    """CPU threads it began with; a resumed run uses as many, for the same bits."""
    reason: str | None = None
    """Why it failed or ended early, in one line."""
    verdict: str | None = None
    """`healthy`, `complete` or `dimensional`."""
    evidence: dict[str, float | None] = field(default_factory=dict)

    @property
    def finished_well(self) -> bool:
        """Whether there is nothing left to train: done, or collapsed (a result, not a failure)."""
        return self.state in ("done", "collapsed")

    @classmethod
    def from_json(cls, value: Any) -> "Status":
        """Read what `status.json` holds; keys of other versions are passed over. Raises `ValueError`."""
        if not isinstance(value, dict) or value.get("state") not in get_args(State):
            raise ValueError(f"status.json has no state that is one of {', '.join(get_args(State))}")
        return cls(**{key: value[key] for key in _FIELDS & value.keys()})


_FIELDS = frozenset(entry.name for entry in fields(Status))
