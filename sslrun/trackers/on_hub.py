"""A run's encoder as a folder that a model hub takes as it is: safetensors, config.json, and a card with recipe,
verdict and numbers. Nothing is sent: `hf upload NAME FOLDER` does that.

Where timm has the network, the folder is one of timm's (`timm.create_model("hf-hub:...")`); else the card says how
sslrun loads it.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jinja2 import Template

from sslrun.files import replacing, write_json, write_text
from sslrun.networks.from_timm import one_size
from sslrun.report.summary import scores, verdict_line
from sslrun.runs.history import Row
from sslrun.runs.records import Status
from sslrun.trackers.told import NotYet, Telling, Told, public_recipe, tracker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WEIGHTS = "model.safetensors"


class Hub:
    """`<out>/<run>/`, written when a run has its encoder."""

    def __init__(self, told: Told, out: Path) -> None:
        self.folder = out / told.name

    def tell(self, rows: Sequence[Row]) -> None:
        """A hub takes what came of it, not the way there."""

    def picture(self, name: str, epoch: int, figure: "Figure") -> None:
        from sslrun.drawing import save

        save(figure, self.folder / "training.png")

    def end(self, told: Told, status: Status) -> None:
        from sslrun.jobs.exporting import finished_encoder
        from sslrun.networks.weights import encoder_metadata

        encoder = finished_encoder(told.folder)
        about = encoder_metadata(encoder)
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / _WEIGHTS) as part:
            shutil.copyfile(encoder, part)
        recipe = yaml.safe_dump(public_recipe(told.folder), sort_keys=False, allow_unicode=True)
        write_text(self.folder / "recipe.yaml", recipe)
        config = _of_timm(about)
        write_json(self.folder / "config.json", config or {"library": "sslrun", "encoder": about})
        write_text(self.folder / "README.md", _card(told, status, about, recipe, config is not None))


def _of_timm(about: dict[str, Any]) -> dict[str, Any] | None:
    """timm's configuration of the network; None where timm has none such, or it takes other images than in colour."""
    plain = about["architecture"] in ("resnet18", "resnet50", "densenet121") and about["stem"] == "imagenet"
    plain = plain and about["width"] == 64 and "norm" not in about and about["channels"] == 3
    if not plain and not ("name" in about and about["channels"] == 3):
        return None
    name = str(about.get("name", about["architecture"])).partition(".")[0]
    side = about["size"]
    fed = {"input_size": [3, side, side], "mean": about["mean"] or [0.0] * 3, "std": about["std"] or [1.0] * 3}
    fed |= {"interpolation": "bilinear", "crop_pct": 1.0, "num_classes": 0}
    sized = {"model_args": {"img_size": side}} if "name" in about and one_size(name) else {}
    return {"architecture": name, "num_classes": 0, "pretrained_cfg": fed, **sized}


def _card(told: Told, status: Status, about: dict[str, Any], recipe: str, for_timm: bool) -> str:
    """The model card, in Markdown, by `card.md.j2` beside this file."""
    folder = told.folder
    fed = f"{'grey' if about['channels'] == 1 else 'RGB'} images of {about['size']} × {about['size']} px, values 0 to 1"
    if about["mean"]:
        fed += f", less mean {about['mean']}, over std {about['std']}"
    template = Template(Path(__file__).with_name("card.md.j2").read_text(encoding="utf-8"), keep_trailing_newline=True)
    card: str = template.render(
        name=told.name,
        for_timm=for_timm,
        weights=_WEIGHTS,
        verdict=verdict_line(folder, folder.history.read()),
        table=scores(folder.evaluations(), folder.record.recipe["network"]["weights"]),
        fed=fed,
        recipe=recipe.rstrip(),
        identity=folder.identity,
        epochs=status.epoch,
    )
    return card


@tracker("hub")
def begin(told: Told, out: Path) -> Telling:
    """A folder for a model hub. Raises `NotYet` for a run that has no encoder yet."""
    if not told.folder.encoder.exists():
        raise NotYet("has no encoder yet", where=told.name, remedy="A hub takes finished runs.")
    return Hub(told, out)
