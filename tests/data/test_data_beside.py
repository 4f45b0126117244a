"""Pictures where none belongs, and links that lead nowhere or round in circles: told by name, never passed over."""

from pathlib import Path

import pytest
from domain_trees import FOLDERS, write_folders, write_picture
from tiny_data import write_pictures

from sslrun.data.dataset import open_dataset
from sslrun.errors import DataError
from sslrun.recipe.schema import Data, DomainFolders, Folder, Pictures

CLASSES = Folder(kind="folder", path="set", store=16)
ANY = Pictures(kind="pictures", path="set", store=16)
WITHOUT = FOLDERS.model_copy(update={"classes": False})


def fault(data: Data, root: Path) -> str:
    with pytest.raises(DataError) as told:
        open_dataset(data, root).counts("train")
    return str(told.value)


@pytest.mark.parametrize(
    ("data", "place", "what"),
    [
        (CLASSES, "set/train", "class"),
        (FOLDERS, "scenes", "domain"),
        (FOLDERS, "scenes/sun", "class"),
        (WITHOUT, "scenes", "domain"),
    ],
)
def test_a_picture_beside_folders(tmp_path: Path, data: Data, place: str, what: str) -> None:
    write_pictures(tmp_path)
    write_folders(tmp_path, per_class=2)
    before = open_dataset(data, tmp_path).fingerprint
    (tmp_path / place / "README.txt").write_text("others may be there")
    write_picture(tmp_path / place / "Stray.JPG", "x")
    told = fault(data, tmp_path)
    assert f"a picture beside folders that are each a {what}: it is of none" in told
    assert str(tmp_path / place / "Stray.JPG") in told
    (tmp_path / place / "Stray.JPG").unlink()
    assert open_dataset(data, tmp_path).fingerprint == before


@pytest.mark.parametrize("data", [CLASSES, ANY, WITHOUT, FOLDERS])
def test_links(tmp_path: Path, data: Folder | Pictures | DomainFolders) -> None:
    write_pictures(tmp_path)
    write_folders(tmp_path, per_class=2)
    inside = tmp_path / ("scenes/sun/car" if isinstance(data, DomainFolders) else "set/train/cat")
    (inside / "gone.png").symlink_to(tmp_path / "elsewhere.png")
    told = fault(data, tmp_path)
    assert f"a link to {tmp_path}/elsewhere.png, which is not there" in told and str(inside / "gone.png") in told
    (inside / "gone.png").unlink()
    (inside / "again").symlink_to(inside.parent)
    told = fault(data, tmp_path)
    assert f"a link to {inside.parent}, a folder that it lies in" in told
    assert f"{inside}/again" in told and "again/" not in told
    (inside / "again").unlink()
    write_picture(tmp_path / "else/where/0.png", "x")
    whole = open_dataset(data, tmp_path).counts("train").total
    (inside / "more").symlink_to(tmp_path / "else")
    assert open_dataset(data, tmp_path).counts("train").total in (whole, whole + 1)  # which may be for validation
