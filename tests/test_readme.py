"""README's commands, as printed and in order, in a folder that has what a clone has; SSLRUN_TRIAL cuts them down."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data.tiny_data import write_cifar10
from memory_engine import MemoryEngine
from PIL import Image

from sslrun.data.sets import cifar
from sslrun.grids import read_grid
from sslrun.jobs import Places, pretrain_job, processes
from sslrun.recipe import trial
from sslrun.recipe.shipped import shipped_grids
from sslrun.sweeps import session
from sslrun.sweeps.engine import Outcome, Running

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
INSTALLS = {
    "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu",
    "pip install -e .",
    "pip install -e '.[test]'",
    "pytest",
}
"""What `.ci` runs, or would fetch by network."""
NEEDS_SLURM = "sslrun sweep --grid ablations_digits --slurm slurm.yaml"
"""What needs a cluster: `tests/slurm` has one."""


def commands() -> list[str]:
    blocks = re.findall(r"^```\n(.*?)^```", README, re.S | re.M)
    lines = [line for block in blocks for line in block.splitlines()]
    return [
        part.strip()
        for line in lines
        if re.match(r"(sslrun [a-z]|pip |pytest|git )", line)
        for part in line.partition("  #")[0].split("&&")
    ]


def clone(folder: Path) -> None:
    """What the lines need: recipes, README's own plug-in, and in the home folder data and pictures."""
    (folder / "recipes").symlink_to(ROOT / "recipes")
    (plugin,) = [text for text in re.findall(r"^```python\n(.*?)^```", README, re.S | re.M) if "class Mixed" in text]
    (folder / "mixed.py").write_text(plugin)
    (folder / "slurm.yaml").write_text("partition: gpu\nhours: 4\n")
    photos = folder / "home" / "photos" / "summer"
    photos.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(64):
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(photos / f"{number}.png")


def train(running: Running, results: Path) -> Outcome:
    for recipe in running.job.recipes:
        pretrain_job(recipe, Places(results, running.job.data))
    return Outcome("done")


@pytest.mark.timeout(900)  # a machine that is busy
def test_every_line_of_the_readme_works(tmp_path: Path, sslrun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    clone(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SSLRUN_TRIAL", "1")
    monkeypatch.setattr(trial, "_CHANGES", (*trial._CHANGES, "network.backbone.width=8"))
    launched: list[tuple[int, list[str]]] = []
    monkeypatch.setattr(processes, "launch", lambda count, words: launched.append((count, words)) or 0)
    monkeypatch.setattr(session, "open_engine", lambda *_: MemoryEngine(lambda one: train(one, tmp_path / "results")))
    monkeypatch.setattr(cifar.CifarSet, "download", lambda data: write_cifar10(data.root, per_batch=60))
    real = cifar.unpickle
    monkeypatch.setattr(cifar, "unpickle", lambda path, md5=None: real(path))
    lines = commands()
    assert len(lines) > 25
    for line in lines:
        words = shlex.split(line)
        if line in (*INSTALLS, NEEDS_SLURM):
            continue
        assert words[0] == "sslrun", line
        words = [str(Path(word).expanduser()) if word.startswith("~") else word for word in words]
        code, out, err = sslrun(*words[1:])
        assert code == 0, f"{line}\n{out}\n{err}"
    assert [count for count, _ in launched] == [2]
    assert (tmp_path / "features.parquet").is_file() or "parquet" not in README


def test_a_trial_is_another_recipe_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from sslrun.recipe import read_recipe

    whole = read_recipe("quickstart"), read_grid("ablations_digits")
    monkeypatch.setenv("SSLRUN_TRIAL", "1")
    assert read_recipe("quickstart").training.epochs == 1 != whole[0].training.epochs
    cut = read_grid("ablations_digits")
    assert (len(cut.cells), cut.record_name) == (2, "ablations_digits+trial")
    assert len(whole[1].cells) == 36
    assert read_recipe("quickstart", whole=True) == whole[0]  # what a paper is compared with is not cut


def test_what_is_wrong_is_wrong_in_a_trial_too_and_a_trial_is_tagged(monkeypatch: pytest.MonkeyPatch) -> None:
    from sslrun.errors import RecipeError
    from sslrun.recipe import read_recipe

    monkeypatch.setenv("SSLRUN_TRIAL", "1")
    with pytest.raises(RecipeError, match=r"training\.epochs: -3 is not allowed"):
        read_recipe("quickstart", ["training.epochs=-3"])
    assert read_recipe("quickstart", ["run.tags=[mine]"]).run.tags == ("mine", "trial")
    pacs = read_recipe("bss/pacs")  # all its test pictures are judged
    assert (pacs.views.size, pacs.data.store, len(pacs.evaluation.udg.fractions)) == (32, 40, 1)
    assert read_recipe("bss/pacs", ["evaluation.udg=null"]).evaluation.udg is None


@pytest.mark.parametrize("name", sorted(shipped_grids()))
def test_every_shipped_grid_has_a_trial(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLRUN_TRIAL", "1")
    assert all(cell.recipe.training.epochs == 1 for cell in read_grid(name).cells)
