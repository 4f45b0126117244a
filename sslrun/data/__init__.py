"""Images: read from the layouts that people already have, kept as uint8, handed out in seeded batches.

Start at `dataset`; `sets` has one file a kind of data set; `batches` feeds the training step.
"""

from sslrun.data import sets
from sslrun.data.dataset import Dataset, open_dataset

__all__ = ["Dataset", "open_dataset", "sets"]
