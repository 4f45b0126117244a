"""What a run stands on, as BibTeX: the papers that its sections name, and this tool. `sslrun cite RUN`.

Each section names its papers by their numbers on arXiv (`Section.PAPERS`); `papers.bib` has
their entries; a plug-in's paper that is not there is given by its number.
"""

import re
from pathlib import Path

from sslrun import __version__
from sslrun.recipe.schema import Recipe

TOOL = f"""@software{{sslrun,
  title   = {{sslrun: self-supervised learning experiments}},
  author  = {{{{the sslrun authors}}}},
  year    = {{2026}},
  version = {{{__version__}}},
}}"""

_ENTRIES = Path(__file__).with_name("papers.bib").read_text(encoding="utf-8").strip().split("\n\n")
_KNOWN = {re.findall(r"eprint *= \{(.+)\}", entry)[0]: entry for entry in _ENTRIES}


def bibtex(recipe: Recipe) -> str:
    """The entries of this tool and of all papers that the recipe's sections follow, each once."""
    used: dict[str, list[str]] = {}
    for _, section in recipe.walk():
        for number in section.papers():
            named = getattr(section, "kind", None) or getattr(section, "NAME", type(section).__name__.lower())
            used.setdefault(number, []).append(str(named))
    return "\n\n".join([TOOL, *(_KNOWN.get(number) or _by_number(number, names) for number, names in used.items())])


def _by_number(number: str, names: list[str]) -> str:
    about = ", ".join(dict.fromkeys(names))
    return f"""@misc{{arxiv{number.replace(".", "")},
  note   = {{used for {about}; title and authors: https://arxiv.org/abs/{number}}},
  eprint = {{{number}}},
  archivePrefix = {{arXiv}},
}}"""
