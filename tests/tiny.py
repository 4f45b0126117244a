"""The quickstart recipe made tiny: what every test that pretrains starts from."""

SMALL = [
    "data.limit=256",
    "network.backbone.width=8",
    "network.projector={hidden: 32, out: 16}",
    "training={epochs: 2, batch_size: 64}",
    "evaluation.linear.decays=[0.01]",
    "run.threads=1",
    "run.device=cpu",
]


def small(*more: str) -> list[str]:
    """`--set` arguments that make the quickstart recipe a run of a second or two."""
    return [part for change in [*SMALL, *more] for part in ("--set", change)]
