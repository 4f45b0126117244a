"""`~` is a home folder wherever a path is written, and a `$NAME` that no shell has filled in is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from killed import BASE

from sslrun.errors import InputError
from sslrun.grids import read_grid
from sslrun.jobs.places import folders
from sslrun.networks.backbones import build_backbone
from sslrun.paths import user_path
from sslrun.recipe import read_recipe

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder, and a current folder elsewhere, where nothing is to appear."""
    for folder in ("home", "here"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def test_the_home_folder_is_meant_by_every_option_and_argument(sslrun: Run, home: Path) -> None:
    (home / "tiny.yaml").write_text(BASE)
    commands = [
        ("pretrain", "~/tiny.yaml", "--results=~/r", "--data=~/d"),
        ("report", "~/r", "--out=~/new/table.csv"),
        ("status", "~/r"),
        ("plot", "tiny", "--results=~/r", "--out=~/plot.svg"),
        ("export", "~/r/RUN", "--to=safetensors", "--out=~/enc.safetensors"),
        ("explain", "~/tiny.yaml", "~/tiny.yaml"),
    ]
    for command in commands:
        runs = [path.name for path in (home / "r").glob("tiny-*")]
        code, _, err = sslrun(*(word.replace("RUN", *runs) if runs else word for word in command))
        assert code == 0, (command, err)
    assert {path.name for path in home.iterdir()} >= {"r", "new", "plot.svg", "enc.safetensors"}
    assert not list(Path.cwd().iterdir())
    code, _, err = sslrun("status", "$RESULTS/r")
    assert code == 2 and "$RESULTS is not filled in" in err


def test_the_home_folder_is_meant_in_recipes_grids_and_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "tiny.yaml").write_text(BASE)
    recipe = read_recipe("~/tiny.yaml", ["run.results=~/r", "run.data=~/d", "network.weights=~/w.pt"])
    assert folders(recipe) == (home / "r", home / "d")
    assert recipe.network.weights_file == home / "w.pt"
    (home / "grid.yaml").write_text("base: ~/tiny.yaml\nseeds: 1\naxes: {rate: {usual: {}}}\n")
    assert len(read_grid("~/grid.yaml").cells) == 1
    monkeypatch.setenv("SSLRUN_RESULTS", "~/r2")
    monkeypatch.setenv("SSLRUN_DATA", "~/d2")
    assert folders(None) == (home / "r2", home / "d2")
    monkeypatch.setenv("SSLRUN_RESULTS", "${SCRATCH}/r2")
    with pytest.raises(InputError, match=r"\$\{SCRATCH\} is not set here"):
        folders(None)


def test_a_name_that_no_shell_has_filled_in_is_refused_with_what_it_would_be(home: Path) -> None:
    with pytest.raises(InputError, match=rf"--results: \$HOME/r: .*\nWrite {home}/r\."):
        user_path("$HOME/r", "--results")
    with pytest.raises(InputError, match="no_such_user"):
        user_path("~no_such_user/r", "--results")
    assert user_path("a/~/b", "--results") == Path("a/~/b")


def test_weights_are_found_at_home(home: Path) -> None:
    from sslrun.training.starting import starting_encoder

    (home / "tiny.yaml").write_text(BASE)
    recipe = read_recipe("~/tiny.yaml", ["network.weights=~/w.pt"])
    encoder = build_backbone(recipe.network.backbone, 4, seed=7)
    torch.save(encoder.state_dict(), home / "w.pt")
    assert starting_encoder(recipe, 4).weight.equal(encoder.weight)
