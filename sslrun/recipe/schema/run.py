"""Where and how a run is carried out on this machine. Nothing here changes what it computes."""

from typing import Annotated, Literal

from pydantic import Field

from sslrun.recipe.schema.base import Section, option

TAG = r"^[\w][\w./+-]{0,63}$"


class Run(Section):
    """Operational settings: none of them is part of a run's identity."""

    results: str | None = option(None, "Results folder; --results, SSLRUN_RESULTS, or `results`.", operational=True)
    data: str | None = option(None, "Data folder; --data, SSLRUN_DATA, or `data`.", operational=True)
    device: str = option("auto", "`cpu`, `cuda`, `cuda:1`, `mps`; `auto` takes the best there is.", operational=True)
    graph: Literal["auto", "off"] = option(
        "auto", "`auto` replays steps on small views as one CUDA graph, where that is possible.", operational=True
    )
    threads: Annotated[int, Field(ge=1)] | None = option(
        None, "CPU threads; a resumed run keeps those it began with.", operational=True
    )
    checkpoint_minutes: float = option(
        5.0, "Most minutes between two checkpoints; each epoch's end may save too.", ge=0, operational=True
    )
    note: str = option("", "What a reader should know of the run; kept with it, as --note.", operational=True)
    tags: tuple[Annotated[str, Field(pattern=TAG)], ...] = option(
        (), "Words to find it by, as --tag: lists and reports take --tag too.", operational=True
    )
    verbosity: Literal["quiet", "normal"] = option("normal", "`quiet` prints only the end.", operational=True)
