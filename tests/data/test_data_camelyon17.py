"""Camelyon17-WILDS: its table decides; patients are text; hospitals 1 and 2 are the targets unless told otherwise."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from domain_trees import CAMELYON17, colour, write_camelyon17

from sslrun.data.dataset import open_dataset
from sslrun.errors import DataError

TABLE = "camelyon17_v1.0/metadata.csv"


def test_the_table_decides_splits_labels_and_hospitals(tmp_path: Path) -> None:
    write_camelyon17(tmp_path)
    rows = list(csv.DictReader((tmp_path / TABLE).open()))
    assert rows[0]["patient"] == "004"  # text: no number
    for split, centres, parts in (("train", "034", "0"), ("validation", "034", "1"), ("test", "12", "01")):
        found = open_dataset(CAMELYON17, tmp_path).images(split)  # type: ignore[arg-type]  # a loop over literals
        expected = [row for row in rows if row["center"] in centres and row["split"] in parts]
        assert found.domains is not None
        assert found.images.shape == (len(expected), 3, 96, 96)
        assert found.class_names == ("normal", "tumour")
        assert found.domain_names == tuple(f"hospital_{number}" for number in range(5))
        for image, label, domain, row in zip(found.images, found.labels, found.domains, expected, strict=True):
            slide = f"patient_{row['patient']}_node_{row['node']}"
            name = f"patches/{slide}/patch_{slide}_x_{row['x_coord']}_y_{row['y_coord']}.png"
            assert tuple(image[:, 40, 50].tolist()) == colour(name)
            assert (int(label), int(domain)) == (int(row["tumor"]), int(row["center"]))


def test_other_hospitals_can_be_the_targets(tmp_path: Path) -> None:
    write_camelyon17(tmp_path)
    data = CAMELYON17.model_copy(update={"held_out": ("hospital_0",)})
    assert [len(open_dataset(data, tmp_path).images(split)) for split in ("train", "validation", "test")] == [16, 8, 6]


def test_a_table_with_other_columns_in_another_order_is_read(tmp_path: Path) -> None:
    write_camelyon17(tmp_path)
    before = open_dataset(CAMELYON17, tmp_path).images("test").images.clone()
    rows = list(csv.DictReader((tmp_path / TABLE).open()))
    with (tmp_path / TABLE).open("w", newline="") as file:
        table = csv.DictWriter(file, ["split", "center", "tumor", "y_coord", "x_coord", "node", "patient", "more"])
        table.writeheader()
        table.writerows({key: row.get(key, "") for key in table.fieldnames} for row in rows)
    assert bool((open_dataset(CAMELYON17, tmp_path).images("test").images == before).all())


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda text: text.replace("center", "hospital"), r":1: no column 'center'"),
        (lambda text: "", r":1: no column 'patient'"),
        (lambda text: text[:-8], r":31: expected tumor 0 or 1"),
        (lambda text: text.replace("\n1,", "\n1,9,9,9,9,2,0,0,0\n1,", 1), r":3: expected tumor 0 or 1, .*9,9,9,9,2"),
        (lambda text: text.replace("3330,", "3331,", 1), r":4: names no file: .*x_3331_y_21792.png"),
        (lambda text: text.replace(",004,", ",4,"), r":2: names no file: .*patient_4_node_0"),
    ],
)
def test_a_wrong_table_is_named_by_line(tmp_path: Path, edit: Callable[[str], str], told: str) -> None:
    write_camelyon17(tmp_path)
    path = tmp_path / TABLE
    path.write_text(edit(path.read_text()))
    with pytest.raises(DataError, match=rf"metadata.csv{told}"):
        open_dataset(CAMELYON17, tmp_path).images("train")


def test_another_table_has_another_fingerprint(tmp_path: Path) -> None:
    write_camelyon17(tmp_path)
    before = open_dataset(CAMELYON17, tmp_path).fingerprint
    path = tmp_path / TABLE
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert open_dataset(CAMELYON17, tmp_path).fingerprint != before
    path.unlink()
    with pytest.raises(DataError, match=r"metadata.csv: no such file\nCamelyon17-WILDS is expected as"):
        assert open_dataset(CAMELYON17, tmp_path).fingerprint
