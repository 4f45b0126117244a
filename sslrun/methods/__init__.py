"""The objectives: one file a method, each with its whole step; `build_method` makes one from a recipe."""

from sslrun.methods.base import Method, Updater
from sslrun.methods.build import build_encoder, build_method
from sslrun.methods.msn import MSN
from sslrun.methods.noncontrastive import NonContrastive
from sslrun.methods.simclr import SimCLR
from sslrun.methods.swav import SwAV

__all__ = ["MSN", "Method", "NonContrastive", "SimCLR", "SwAV", "Updater", "build_encoder", "build_method"]
