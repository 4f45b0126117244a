"""Any network of timm as an encoder, under timm's parameter names and without its last layer.

`sslrun.networks.backbones` builds it; timm itself is an extra (`pip install 'sslrun[timm]'`).
"""

from difflib import get_close_matches
from typing import Any

from sslrun.errors import InputError
from sslrun.networks.encoder import Encoder


def timm_encoder(name: str, *, channels: int, side: int | None) -> Encoder:
    """The network that timm calls `name`, untrained, its weights drawn from torch's global generator.

    One that is made for images of one side is made for `side` pixels. Raises `InputError` without timm, for a name that
    it does not know, and for a side that is not said or does not suit.
    """
    try:
        import timm
    except ImportError as error:
        raise InputError(
            "this backbone needs a package that is not installed",
            where="network.backbone.kind: timm",
            remedy="pip install 'sslrun[timm]'",
        ) from error
    where = f"network.backbone.name: {name}"
    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models(), n=3)
        hint = f"Did you mean {', '.join(near)}?" if near else "python -c 'import timm; print(timm.list_models())'"
        own = "A module that registers one of your own: `imports` in the recipe, or --import."
        raise InputError("timm has no network of this name", where=where, remedy=f"{hint}\n{own}")
    network: Any
    sized: dict[str, Any] = {}
    if one_size(name):
        if side is None:
            raise InputError("is built for views of one side", where=where, remedy="Set views.size.")
        sized = {"img_size": side}
    try:
        try:  # transformers also take views of other sides then
            network = timm.create_model(name, num_classes=0, in_chans=channels, dynamic_img_size=True, **sized)
        except TypeError:
            network = timm.create_model(name, num_classes=0, in_chans=channels, **sized)
    except (AssertionError, ValueError, RuntimeError) as error:
        of = f" for views of {side} px" if sized else ""
        raise InputError(f"timm can't build it{of}: {str(error) or type(error).__name__}", where=where) from error
    patch = getattr(getattr(network, "patch_embed", None), "patch_size", None)
    if sized and patch and side % patch[0]:
        raise InputError(f"its patches of {patch[0]} px do not divide views of {side}", where=where)
    network.feature_dim = getattr(network, "head_hidden_size", None) or network.num_features
    encoder: Encoder = network
    return encoder


def one_size(name: str) -> bool:
    """Whether the network is made for images of one side. Needs timm."""
    import timm

    about = timm.models.get_pretrained_cfg(name)
    return about is not None and bool(about.fixed_input_size)
