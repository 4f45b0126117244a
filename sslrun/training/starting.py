"""The encoder as training finds it, and what must be said of it wherever it is kept."""

from typing import Any

from sslrun import __version__
from sslrun.data.images import ImageSet
from sslrun.methods import build_encoder
from sslrun.networks.encoder import Encoder
from sslrun.networks.weights import load_weights
from sslrun.recipe.schema import Recipe


def starting_encoder(recipe: Recipe, channels: int) -> Encoder:
    """The recipe's untrained encoder: drawn from the seed, then filled from `network.weights` if given."""
    encoder = build_encoder(recipe, channels)
    if recipe.network.weights_file is not None:
        load_weights(encoder, recipe.network.weights_file)
    return encoder


def encoder_metadata(recipe: Recipe, images: ImageSet) -> dict[str, Any]:
    """What a user of the encoder's file must know: what it is, and how to feed it."""
    normalize, backbone = recipe.views.normalize, recipe.network.backbone
    about = {
        "format": f"sslrun {__version__}",
        "architecture": backbone.kind,
        "stem": backbone.stem,
        "width": backbone.width,
        "channels": images.channels,
        "size": recipe.views.size or images.side,
        "mean": list(normalize.mean) if normalize else None,
        "std": list(normalize.std) if normalize else None,
        # How batch norm was trained: each view alone (with `style: bss` one style at a time), or all at once.
        "batch_norm": {"apart": "per_view", "together": "all_views"}[recipe.method.views]
        if backbone.batch_norm
        else None,
    }
    if backbone.name is not None:
        about |= {"name": backbone.name}
    if backbone.norm != "batch":
        about |= {"norm": backbone.norm}
    if backbone.kind == "vit":
        about |= {"patch": backbone.patch, "depth": backbone.depth, "heads": backbone.heads}
    return about
