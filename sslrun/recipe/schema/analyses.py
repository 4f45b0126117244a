"""How much frozen features know of the domains: purity of neighbours and clusters, and a probe for the domain.

The analyses of arXiv 2303.06088 are known to us by name alone (domain purity); these definitions are our choice.
"""

from typing import TYPE_CHECKING

from sslrun.recipe.schema.base import Misfit, Section, option

if TYPE_CHECKING:
    from sslrun.recipe.schema import Recipe


class Analyses(Section):
    """Domain purity of an encoder's features on source images held out and on target images, class purity beside it."""

    neighbours: int = option(10, "Nearest neighbours (cosine similarity) whose domain and class are compared.", ge=1)
    clusters: int | None = option(None, "Clusters of k-means; as many as there are classes if null.", ge=2)
    images_per_domain: int | None = option(
        1000,
        "Most images of each domain. All domains give equally many, their classes taking turns in file order, so "
        "never more than the smallest domain has; as many as that if null.",
        ge=2,
    )
    across_domains: bool = option(
        False,
        "Also class purity among neighbours from other domains alone; and all measures again with batch norms that "
        "use the statistics of each domain's own images (arXiv 1603.04779), which shows how much of a domain sits in "
        "their running averages. That looks at target images, and is no result on unseen domains.",
    )

    def needs(self, recipe: "Recipe") -> None:
        if not recipe.data.SEVERAL_DOMAINS:
            raise Misfit(f"{recipe.data.kind} images have no domains to analyse", "evaluation.analyses", "data.kind")
