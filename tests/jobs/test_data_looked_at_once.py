"""Pictures in files are looked for once, whatever is done with them: each of their folders is listed one time."""

import pickle
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny import SMALL, class_folder, small

from sslrun.errors import DataError
from sslrun.grids import read_grid
from sslrun.jobs import places, pretrain_job
from sslrun.jobs.places import Places
from sslrun.recipe import read_recipe
from sslrun.sweeps.work import jobs_of

PICTURES = "data={kind: folder, path: set, store: 16}"
RECIPE = read_recipe("quickstart", [PICTURES, *SMALL[1:], "training.batch_size=8"])
FEW = ("--set", "training.batch_size=8")
_listed: list[Path] = []


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("os.scandir", "os.listdir") and isinstance(arguments[0], str | Path):
        _listed.append(Path(arguments[0]))


sys.addaudithook(_note)  # which sees os.walk, iterdir and glob too


@contextmanager
def listings(root: Path) -> Iterator[Counter[str]]:
    """How often each folder of the set was listed."""
    found: Counter[str] = Counter()
    start = len(_listed)
    yield found
    within = [path for path in _listed[start:] if path.is_relative_to(root / "set")]
    found.update(str(path.relative_to(root)) for path in within)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    class_folder(tmp_path / "data/set", val=3)
    return tmp_path / "data"


ONCE = {f"set/{split}{below}": 1 for split in ("train", "val") for below in ("", "/cat", "/dog")}


def test_pretraining_with_evaluations_and_baselines_looks_once(
    root: Path, tmp_path: Path, sslrun: Callable[..., tuple[int, str, str]]
) -> None:
    changes = small("training.batch_size=8")[2:]
    command = ["--set", PICTURES, *changes, "--results", tmp_path / "results", "--data", root]
    for _ in ("trained", "found done"):
        with listings(root) as found:
            code, out, err = sslrun("pretrain", "quickstart", *command)
        assert code == 0, err
        assert "untrained encoder" in out and "raw pixels" in out and "kNN" in out and "linear" in out
        assert found == ONCE
    run = next((tmp_path / "results").glob("quickstart-*")).name
    with listings(root) as found:
        assert sslrun("evaluate", run, "--knn", "--results", tmp_path / "results", "--data", root)[0] == 0
    assert found == ONCE


def test_the_check_looks_once(root: Path, tmp_path: Path, sslrun: Callable[..., tuple[int, str, str]]) -> None:
    with listings(root) as found:
        code, out, _ = sslrun("data", "check", "quickstart", "--set", PICTURES, *FEW, "--data", root)
    assert code == 0 and "16 train, 6 test" in out
    assert found == ONCE


def handed(where: Places) -> Places:
    """As a job's process gets it."""
    return Places(where.results, pickle.loads(pickle.dumps(where.data)))


def test_a_sweeps_jobs_know_the_fingerprint_and_only_who_decodes_looks_again(root: Path, tmp_path: Path) -> None:
    grid = tmp_path / "grid.yaml"
    grid.write_text("base: quickstart\nseeds: [0, 1]\n")
    with listings(root) as found:
        jobs = jobs_of(read_grid(grid, [PICTURES, *SMALL[1:], "training.batch_size=8"]).cells, root, {})
    assert found == ONCE and len(jobs) == 2
    for job, expected in zip(jobs, (ONCE, {}), strict=True):
        with listings(root) as found:
            folder, _ = pretrain_job(job.recipes[0], handed(Places(tmp_path / "results", job.data)))
        assert found == expected
        assert folder.identity == job.identity
    for job in jobs:
        with listings(root) as found:
            assert handed(Places(tmp_path, job.data)).data.counts("test").classes == {"cat": 3, "dog": 3}
        assert found == {}
    assert len(pickle.dumps(jobs[0].data)) < 2000  # no images, no list of files


def test_pictures_that_change_between_the_look_and_the_decoding_are_refused(root: Path, tmp_path: Path) -> None:
    where = places(RECIPE, tmp_path / "results", root)
    known = where.data.fingerprint
    shutil.copy(root / "set/train/cat/0.png", root / "set/train/cat/new.png")
    late = handed(where)
    assert late.data.fingerprint == known
    with pytest.raises(DataError, match="changed since"):
        late.data.images("train")
    assert places(RECIPE, tmp_path / "results", root).data.fingerprint != known


def test_an_open_data_set_is_taken_where_the_recipe_means_it(root: Path, tmp_path: Path) -> None:
    data = places(RECIPE, tmp_path, root).data
    assert places(RECIPE, tmp_path, data) == Places(tmp_path, data)
    other = places(read_recipe("quickstart", [PICTURES, "data.store=32"]), tmp_path, data).data
    assert (other.shape, other.root) == ((3, 32, 32), root)
