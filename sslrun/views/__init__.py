"""Random views of a batch, as batched tensor operations with parameters drawn per image.

Read in this order: `pipeline` (a recipe's views), `view_draws` (what is drawn for one), `geometry`, `style` (on
`spectrum`), `colour`, `blur`; `filtering` is what resizing and blurring share, `per_image` what all parameters share.
`sheet` shows views to people.
"""

from sslrun.views.pipeline import Views
from sslrun.views.view_draws import ViewDraws

__all__ = ["ViewDraws", "Views"]
