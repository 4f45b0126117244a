"""An open data set: reads nothing until asked, then keeps what it found, and travels light."""

import pickle
from pathlib import Path
from typing import Any, Literal

import pytest
from tiny_data import Written, write_pictures

from sslrun.data import open_dataset
from sslrun.errors import InputError
from sslrun.recipe.schema import Digits, DigitsStyles, Folder, Gaussian, Stl10
from sslrun.recipe.schema.base import definitions
from sslrun.recipe.schema.data import Data

PICTURES = Folder(kind="folder", path="set", store=16)


def test_opening_reads_nothing_and_the_shape_is_known_without_files(tmp_path: Path) -> None:
    shapes: list[tuple[Any, tuple[int, ...]]] = [
        (PICTURES, (3, 16, 16)),
        (Stl10(kind="stl10"), (3, 96, 96)),
        (Digits(kind="digits", size=20), (1, 20, 20)),
        (Gaussian(kind="gaussian", count=9, dim=3), (3,)),
    ]
    for section, shape in shapes:
        assert open_dataset(section, tmp_path / "nowhere").shape == shape


def test_images_are_read_once_for_all_splits_that_are_the_same(tmp_path: Path, stl10: Written) -> None:
    data = open_dataset(Digits(kind="digits"), tmp_path)
    assert data.images("pretrain") is data.images("train") is not data.images("test")
    styles = open_dataset(DigitsStyles(kind="digits_styles"), tmp_path)
    assert styles.images("test") is styles.images("validation") is not styles.images("train")
    unseen = open_dataset(DigitsStyles(kind="digits_styles", held_out=("ink",)), tmp_path)
    assert unseen.images("test") is not unseen.images("validation")
    apart = open_dataset(Stl10(kind="stl10"), stl10.root)
    assert apart.images("pretrain") is not apart.images("train")


def test_pickled_it_holds_neither_images_nor_files_but_knows_its_fingerprint(tmp_path: Path) -> None:
    data = open_dataset(PICTURES, write_pictures(tmp_path))
    unknown = pickle.loads(pickle.dumps(data))
    data.images("train")
    assert len(pickle.dumps(data)) < 1000
    (tmp_path / "set").rename(tmp_path / "away")
    known = pickle.loads(pickle.dumps(data))
    assert known.fingerprint == data.fingerprint
    assert len(known.images("train")) == 15  # from the cache
    with pytest.raises(InputError, match="no such folder"):
        assert unknown.fingerprint


def test_a_section_that_nobody_opens_is_told_by_name(tmp_path: Path) -> None:
    class Forgotten(Exception):
        pass

    with pytest.raises(Forgotten), definitions(__name__):

        class Orphan(Data):
            kind: Literal["orphan"]

        with pytest.raises(InputError, match=r"data.kind: orphan: nothing opens data of this kind.*Orphan"):
            open_dataset(Orphan(kind="orphan"), tmp_path)
        raise Forgotten


@pytest.mark.parametrize("limit", [None, 300])
def test_for_tuning_a_fifth_of_each_class_is_judged_by_and_the_test_images_stay_unseen(
    tmp_path: Path, limit: int | None
) -> None:
    plain = open_dataset(Digits(kind="digits"), tmp_path)
    tuning = open_dataset(Digits(kind="digits", tuning=True, limit=limit), tmp_path)
    kept, judged = tuning.images("pretrain"), tuning.images("test")
    known = {image.numpy().tobytes() for image in plain.images("train").images}
    ours, theirs = ({image.numpy().tobytes() for image in part.images} for part in (kept, judged))
    assert ours | theirs <= known and not ours & theirs
    assert len(kept) == (limit or 1400 - len(judged))
    for label in range(10):
        whole = int((plain.images("train").labels == label).sum())
        assert int((judged.labels == label).sum()) == whole // 5
    assert tuning.fingerprint == plain.fingerprint  # the same images: the option is the recipe's
