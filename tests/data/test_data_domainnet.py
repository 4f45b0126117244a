"""DomainNet: both directions of the 20 classes, all classes, and wrong lists told by line."""

from pathlib import Path

import pytest
from domain_trees import DOMAINNET, OTHERS, UDG20, colour, write_domainnet

from sslrun.data.dataset import open_dataset
from sslrun.errors import DataError
from sslrun.recipe.schema import DomainNet

FIRST, SECOND = ("clipart", "infograph", "quickdraw"), ("painting", "real", "sketch")


def test_both_directions_have_their_sources_and_targets(tmp_path: Path) -> None:
    write_domainnet(tmp_path)
    assert DOMAINNET.held_out == FIRST
    for targets, sources in ((FIRST, SECOND), (SECOND, FIRST)):
        data = DomainNet(kind="domainnet", held_out=targets, store=16)  # type: ignore[arg-type]
        for split, domains, each in (("train", sources, 2), ("validation", sources, 1), ("test", targets, 3)):
            found = open_dataset(data, tmp_path).chosen(split)[0]  # type: ignore[arg-type]  # a loop over literals
            assert found.domains is not None
            assert [found.domain_names[number] for number in sorted({*found.domains})] == list(domains)
            assert found.class_names == UDG20
            assert len(found.labels) == 3 * 20 * each


def test_labels_are_the_places_in_the_fixed_order_of_the_20_classes(tmp_path: Path) -> None:
    write_domainnet(tmp_path)
    found = open_dataset(DOMAINNET, tmp_path).images("validation")
    assert found.domains is not None
    for image, label, domain in zip(found.images, found.labels, found.domains, strict=True):
        [picture] = (tmp_path / "DomainNet" / found.domain_names[domain] / UDG20[label]).glob("*_000001.jpg")
        assert tuple(image[:, 3, 4].tolist()) == colour(picture.relative_to(tmp_path / "DomainNet").as_posix())


def test_all_classes_are_numbered_by_the_lists(tmp_path: Path) -> None:
    write_domainnet(tmp_path)
    data = DOMAINNET.model_copy(update={"classes": "all"})
    source, index = open_dataset(data, tmp_path).chosen("train")
    assert source.class_names == tuple(sorted([*UDG20, *OTHERS]))
    assert len(index) == 3 * 22 * 2


@pytest.mark.parametrize("classes", ["udg20", "all"])
def test_lists_that_number_classes_differently_are_foreign(tmp_path: Path, classes: str) -> None:
    write_domainnet(tmp_path)
    path = tmp_path / "DomainNet/real_train.txt"
    text = path.read_text()
    path.write_text(text.replace("/bee/real_002_000000.jpg 2", "/bee/real_002_000000.jpg 3"))
    data = DOMAINNET.model_copy(update={"classes": classes})
    with pytest.raises(DataError, match=r"real_train.txt:\d+: 'bee' has number 3, as 'bird' at .*clipart_train.txt"):
        open_dataset(data, tmp_path).images("train")
    path.write_text(text.replace("/bee/real_002_000000.jpg 2", "/bee/real_002_000000.jpg 99"))
    with pytest.raises(DataError, match="give 'bee' several numbers"):
        open_dataset(DOMAINNET.model_copy(update={"classes": "all"}), tmp_path).images("train")


def test_a_domain_without_one_of_the_classes_is_told(tmp_path: Path) -> None:
    write_domainnet(tmp_path)
    path = tmp_path / "DomainNet/quickdraw_train.txt"
    path.write_text("".join(line for line in path.open() if "/violin/" not in line))
    with pytest.raises(DataError, match=r"quickdraw_train.txt: no picture of the class 'violin'"):
        open_dataset(DOMAINNET, tmp_path).images("test")


def test_only_pictures_of_the_chosen_classes_are_needed(tmp_path: Path) -> None:
    write_domainnet(tmp_path)
    for picture in (tmp_path / "DomainNet").glob("*/zebra/*"):
        picture.unlink()
    assert len(open_dataset(DOMAINNET, tmp_path).chosen("train")[1]) == 120
    with pytest.raises(DataError, match=r"clipart_train.txt:\d+: names no file: .*zebra"):
        open_dataset(DOMAINNET.model_copy(update={"classes": "all"}), tmp_path).chosen("train")
