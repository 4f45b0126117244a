"""A paper's table can be planned before its data are here."""

from collections.abc import Callable
from pathlib import Path

import pytest
from memory_engine import MemoryEngine

from sslrun.data.dataset import open_dataset
from sslrun.recipe.schema import Camelyon17, DomainNet, Folder
from sslrun.sweeps import session

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def _in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "open_engine", lambda *_: MemoryEngine(lambda _: None))


def test_published_numbers_are_of_the_domains_and_classes_asked_for(tmp_path: Path) -> None:
    everything = DomainNet(kind="domainnet", classes="all", held_out=("clipart", "infograph", "quickdraw"))
    found = open_dataset(everything, tmp_path).published()
    assert found == {"pretrain": 219_534, "train": 219_534, "validation": 94_807, "test": 272_234}
    assert found["train"] + found["validation"] + found["test"] == 586_575  # all pictures
    assert open_dataset(DomainNet(kind="domainnet"), tmp_path).published() is None
    others = Camelyon17(kind="camelyon17", held_out=("hospital_0", "hospital_2"))
    assert open_dataset(others, tmp_path).published() is None
    named = open_dataset(Folder(kind="folder", path="/sets/ImageNet/"), tmp_path).published()
    assert named == {"pretrain": 1_281_167, "train": 1_281_167, "test": 50_000}
    assert open_dataset(Folder(kind="folder", path="mine"), tmp_path).published() is None


@pytest.mark.usefixtures("_in_memory")
@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ("directpred/table1", "planned for STL-10 as published (105,000 pretrain, 5,000 train, 8,000 test): 2.6 GB"),
        (
            "directpred/table8_cifar10",
            "planned for CIFAR-10 as published (50,000 pretrain, 50,000 train, 10,000 test): 170.0 MB to download, "
            "184.3 MB on disk",  # 60,000 × 3,072 bytes
        ),
        ("bss/pacs_udg", "planned for PACS without sketch as published (5,446 pretrain, 5,446 train, 616 validation"),
        ("bss/r2_domainnet", "planned as if DomainNet"),
        (
            "bss/r3_camelyon17",
            "as published (302,436 pretrain, 302,436 train, 33,560 validation, 119,958 test): 10.7 GB to download, "
            "12.6 GB of cache",
        ),
        ("directpred/table1", "the grid names no `baseline`: no differences will be tested"),
        (
            "directpred/table9",
            "planned for imagenet as published (1,281,167 pretrain, 1,281,167 train, 50,000 test): 154.6 GB to",
        ),
    ],
)
def test_a_plan_needs_no_data_and_lists_its_cells(
    grid: str, said: str, tmp_path: Path, sslrun: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    where = ("--data", tmp_path / "data", "--results", tmp_path / "r")
    code, out, err = sslrun("sweep", "--grid", grid, "--plan", *where)
    assert code == 0, err
    assert said in out and "not here:" in out and "of device time" in out
    assert "new" in out.splitlines()[-1]
    assert not (tmp_path / "data").exists()
    code, out, err = sslrun("sweep", "--grid", grid, *where)  # to begin, they are needed
    assert code == 2 and not out
