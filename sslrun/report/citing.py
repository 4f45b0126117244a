"""What a run stands on, as BibTeX: the papers that its sections name, and this tool. `sslrun cite RUN`.

Each section names its papers by their numbers on arXiv (`Section.PAPERS`); of those that this package is built on the
authors and venues are known here, the others are given by their numbers.
"""

from sslrun import __version__
from sslrun.recipe.schema import Recipe

TOOL = f"""@software{{sslrun,
  title   = {{sslrun: self-supervised learning experiments}},
  author  = {{{{the sslrun authors}}}},
  year    = {{2026}},
  version = {{{__version__}}},
}}"""

_KNOWN = {
    "2102.06810": """@inproceedings{tian2021understanding,
  title     = {Understanding self-supervised learning dynamics without contrastive pairs},
  author    = {Tian, Yuandong and Chen, Xinlei and Ganguli, Surya},
  booktitle = {International Conference on Machine Learning},
  year      = {2021},
  eprint    = {2102.06810},
  archivePrefix = {arXiv},
}""",
    "2110.04947": """@misc{wang2021towards,
  title  = {Towards demystifying representation learning with non-contrastive self-supervision},
  author = {Wang and Chen and Du and Tian},
  year   = {2021},
  eprint = {2110.04947},
  archivePrefix = {arXiv},
}""",
    "2303.06088": """@inproceedings{scalbert2024towards,
  title     = {Towards domain-invariant self-supervised learning with batch styles standardization},
  author    = {Scalbert and Vakalopoulou and Couzini{\\'e}-Devy},
  booktitle = {International Conference on Learning Representations},
  year      = {2024},
  eprint    = {2303.06088},
  archivePrefix = {arXiv},
}""",
}


def bibtex(recipe: Recipe) -> str:
    """The entries of this tool and of all papers that the recipe's sections follow, each once."""
    used: dict[str, list[str]] = {}
    for section in recipe.walk():
        for number in section.papers():
            used.setdefault(number, []).append(str(getattr(section, "kind", type(section).__name__)))
    return "\n\n".join([TOOL, *(_KNOWN.get(number) or _by_number(number, names) for number, names in used.items())])


def _by_number(number: str, names: list[str]) -> str:
    about = ", ".join(dict.fromkeys(names))
    return f"""@misc{{arxiv{number.replace(".", "")},
  note   = {{used for {about}; title and authors: https://arxiv.org/abs/{number}}},
  eprint = {{{number}}},
  archivePrefix = {{arXiv}},
}}"""
