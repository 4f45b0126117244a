"""What all sets of several domains share: splits, numbers of domains, limit, cache, fingerprints, the check."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from domain_trees import (
    CAMELYON17,
    DOMAINNET,
    FOLDERS,
    OTHERS,
    PACS,
    colour,
    write_camelyon17,
    write_domainnet,
    write_folders,
    write_pacs,
    write_picture,
)
from hypothesis import given
from hypothesis import strategies as st
from tiny_data import write_pictures

from sslrun.data.check import check
from sslrun.data.dataset import open_dataset
from sslrun.data.domains import in_split
from sslrun.data.images import ImageSet
from sslrun.data.listing import evenly, in_memory
from sslrun.errors import DataError, InputError, RecipeError
from sslrun.recipe import read_recipe
from sslrun.recipe.schema import Cifar, Digits, DigitsStyles, DomainFolders, Folder

KINDS = {
    "pacs": (PACS, write_pacs),
    "domainnet": (DOMAINNET, write_domainnet),
    "camelyon17": (CAMELYON17, write_camelyon17),
    "domains": (FOLDERS, write_folders),
}


class Written(NamedTuple):
    data: Any
    root: Path


@pytest.fixture(params=KINDS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Written:
    data, write = KINDS[request.param]
    return Written(data, write(tmp_path))


def colours(images: ImageSet) -> set[tuple[int, ...]]:
    """The colours of all pictures, which tell them apart."""
    return {tuple(pixel.tolist()) for pixel in images.images[:, :, 0, 0]}


def of_pictures(root: Path, data: Any, domains: set[str]) -> set[tuple[int, ...]]:
    """The colours of the pictures of `domains`, out of the files' names."""
    folder = next(root.glob("[!.]*"))
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.[pj][np]g")]
    if data.kind == "camelyon17":
        return {colour(name) for name in names if f"hospital_{int(name.split('_')[1]) // 20}" in domains}
    return {colour(name) for name in names if name.split("/")[0] in domains and name.split("/")[1] not in OTHERS}


def test_splits_are_disjoint_and_whole_and_the_targets_stay_unseen(written: Written) -> None:
    data, root = written
    pretrain, train, validation, test = (
        open_dataset(data, root).images(split) for split in ("pretrain", "train", "validation", "test")
    )
    names, held_out = train.domain_names, set(data.held_out)
    assert torch.equal(pretrain.images, train.images)
    assert colours(test) == of_pictures(root, data, held_out)
    assert colours(train) | colours(validation) == of_pictures(root, data, set(names) - held_out)
    assert not colours(train) & colours(validation)
    for images, there in ((train, set(names) - held_out), (validation, set(names) - held_out), (test, held_out)):
        assert images.domains is not None
        assert images.domain_names == names == (data.DOMAINS or ("fog", "night", "sun"))
        assert {names[number] for number in images.domains.tolist()} == there
        assert images.class_names == train.class_names
        assert len(images.labels.unique()) == len(train.class_names)


def test_without_targets_all_domains_are_learnt_from_and_their_held_out_images_judge(written: Written) -> None:
    data, root = written.data.model_copy(update={"held_out": ()}), written.root
    train, validation, test = (open_dataset(data, root).images(split) for split in ("train", "validation", "test"))
    assert torch.equal(validation.images, test.images)
    assert colours(train) | colours(test) == of_pictures(root, data, set(train.domain_names))
    assert not colours(train) & colours(test)
    assert train.domains is not None
    assert len(train.domains.unique()) == len(train.domain_names)


def test_the_cache_keeps_domains_and_each_choice_of_targets_has_its_own(written: Written) -> None:
    data, root = written
    first = open_dataset(data, root).images("train")
    again = open_dataset(data, root).images("pretrain", lambda *_: pytest.fail("decoded again"))
    other = open_dataset(data.model_copy(update={"held_out": first.domain_names[-1:]}), root).images("train")
    assert first.domains is not None
    assert again.domains is not None
    assert other.domains is not None
    assert torch.equal(first.domains, again.domains)
    assert (first.class_names, first.domain_names) == (again.class_names, again.domain_names)
    assert len(first.domain_names) - 1 not in other.domains
    assert len(list((root / ".sslrun-cache").glob(f"{data.kind}-train-*"))) == 2


def test_limit_takes_each_class_of_each_domain_in_turn_and_leaves_what_judges_whole(written: Written) -> None:
    data, root = written
    full = open_dataset(data, root).images("train")
    assert full.domains is not None
    groups = len({*zip(full.domains.tolist(), full.labels.tolist(), strict=True)})
    limited = data.model_copy(update={"limit": groups})
    few = open_dataset(limited, root).images("train")
    assert few.domains is not None
    assert len({*zip(few.domains.tolist(), few.labels.tolist(), strict=True)}) == len(few) == groups
    for split in ("validation", "test"):
        assert len(open_dataset(limited, root).images(split)) == len(open_dataset(data, root).images(split))


def test_the_fingerprint_is_of_content_not_of_place_or_targets(written: Written, tmp_path: Path) -> None:
    data, root = written
    before = open_dataset(data, root).fingerprint
    assert open_dataset(data.model_copy(update={"held_out": (), "limit": 20}), root).fingerprint == before
    moved = next(root.glob("[!.]*")).rename(tmp_path / "moved")
    moved_data = data.model_copy(update={"path": str(moved)})
    assert open_dataset(moved_data, root / "nowhere").fingerprint == before
    if data.kind != "camelyon17":  # its table stands for the patches
        picture = sorted(path for path in moved.rglob("*") if path.suffix in (".jpg", ".png"))[0]
        picture.write_bytes(picture.read_bytes() + b"x")
        assert open_dataset(moved_data, root).fingerprint != before


def test_the_check_counts_splits_and_domains(written: Written) -> None:
    data, root = written
    report = check(open_dataset(data, root))
    assert report.ok, report.text()
    assert list(report.counts) == ["train", "validation", "test"]
    loaded = {split: open_dataset(data, root).images(split) for split in ("train", "validation", "test")}
    for split, images in loaded.items():
        assert report.counts[split] == len(images)
        assert sum(counts.get(split, 0) for counts in report.domain_counts.values()) == len(images)
    for name, counts in report.domain_counts.items():
        assert set(counts) == ({"test"} if name in data.held_out else {"train", "validation"})
    assert "made already" in check(open_dataset(data, root)).text()
    with pytest.raises(InputError, match="no downloader"):
        open_dataset(data, root).download()


def test_a_cut_off_picture_is_named(written: Written) -> None:
    data, root = written
    picture = sorted(path for path in root.rglob("*") if path.suffix in (".jpg", ".png"))[0]
    picture.write_bytes(picture.read_bytes()[:50])
    with pytest.raises(DataError, match="not readable as a picture") as error:
        for split in ("train", "validation", "test"):
            open_dataset(data.model_copy(update={"held_out": ()}), root).images(split)
    assert error.value.where == str(picture)


def test_missing_sets_are_told_with_their_layout(written: Written) -> None:
    for problem in check(open_dataset(written.data, written.root / "nowhere")).problems[:1]:
        assert "no such f" in problem
        assert "xpected" in problem
        assert "--download" not in problem
    assert not check(open_dataset(written.data, written.root / "nowhere")).ok


@given(st.data())
def test_every_image_has_exactly_one_use(draw: st.DataObject) -> None:
    names = ("a", "b", "c")
    numbers = draw.draw(st.lists(st.integers(0, 2), min_size=1, max_size=40))
    validation = draw.draw(st.lists(st.booleans(), min_size=len(numbers), max_size=len(numbers)))
    held_out = draw.draw(st.sets(st.sampled_from(names), max_size=2))
    pixels = np.arange(len(numbers), dtype=np.uint8).reshape(-1, 1, 1, 1)
    drawn = in_memory(pixels, np.array(numbers) * 0, ("x",))
    whole = replace(drawn, domains=np.array(numbers), domain_names=names, validation=np.array(validation))

    def taken(split: Any) -> list[int]:
        listing = in_split(whole, tuple(held_out), split)
        every = np.arange(len(listing.labels))
        return [int(value) for block in listing.blocks(every) for value in block.ravel()]

    targets = [at for at, number in enumerate(numbers) if names[number] in held_out]
    assert taken("pretrain") == taken("train")
    assert taken("test") == (targets if held_out else taken("validation"))
    assert sorted(taken("train") + taken("validation") + targets) == list(range(len(numbers)))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60), st.integers(2, 70))
def test_evenly_gives_each_class_of_each_domain_its_turn(pairs: list[tuple[int, int]], limit: int) -> None:
    labels, domains = np.array(pairs, dtype=np.int64).T
    index = evenly(labels, limit, domains)
    assert len(index) == min(limit, len(pairs))
    taken = [pairs[at] for at in index]
    most = max(taken.count(pair) for pair in taken)
    for pair in set(pairs):
        assert taken.count(pair) >= min(pairs.count(pair), most - 1)


def test_other_sets_have_no_validation_images(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    for data in (Digits(kind="digits"), Cifar(kind="cifar10"), Folder(kind="folder", path="set")):
        with pytest.raises(InputError, match=r"no validation images\n.*digits_lenses, pacs") as error:
            open_dataset(data, tmp_path).images("validation")
        assert not isinstance(error.value, DataError)


def test_an_entry_made_before_there_were_domains_is_still_good(tmp_path: Path) -> None:
    data = Folder(kind="folder", path="set", store=16)
    write_pictures(tmp_path)
    open_dataset(data, tmp_path).images("train")
    [header] = (tmp_path / ".sslrun-cache").glob("folder-*/header.json")
    assert set(json.loads(header.read_text())) == {"format", "key", "shape", "class_names", "labels"}
    key = open_dataset(data, tmp_path).cache_key("train")
    assert key is not None
    assert set(key) == {"kind", "part", "side", "limit", "fingerprint"}
    found = open_dataset(data, tmp_path).images("train", lambda *_: pytest.fail("decoded again"))
    assert (found.domains, found.domain_names) == (None, ())


def test_folders_hold_out_a_share_of_every_class_by_names_alone(tmp_path: Path) -> None:
    write_folders(tmp_path)
    data = FOLDERS.model_copy(update={"held_out": ()})
    for share, count in ((0.2, 2), (0.01, 1), (0.99, 9), (0.45, 5)):
        validation = open_dataset(data.model_copy(update={"validation": share}), tmp_path).images("validation")
        assert validation.domains is not None
        groups = (validation.domains * 2 + validation.labels).bincount()
        assert groups.tolist() == [count] * 6
    before = colours(open_dataset(data, tmp_path).images("validation"))
    write_picture(tmp_path / "scenes/fog/car/new.png", "new")
    assert len(before - colours(open_dataset(data, tmp_path).images("validation"))) <= 1
    half = data.model_copy(update={"validation": 0.5})
    assert open_dataset(data, tmp_path).fingerprint == open_dataset(half, tmp_path).fingerprint


def test_wrong_domain_folders_are_told(tmp_path: Path) -> None:
    write_folders(tmp_path, per_class=2)
    with pytest.raises(DataError, match=r"data\.held_out: 'nihgt' is no domain of .*\n.*'night'.*fog, night, sun"):
        open_dataset(FOLDERS.model_copy(update={"held_out": ("nihgt",)}), tmp_path).images("train")
    with pytest.raises(DataError, match="all domains are held out"):
        open_dataset(FOLDERS.model_copy(update={"held_out": ("fog", "night", "sun")}), tmp_path).images("train")
    with pytest.raises(DataError, match="car: no class folders"):
        open_dataset(DomainFolders(kind="domains", path="scenes/fog"), tmp_path).images("train")
    (tmp_path / "scenes/sun/car/notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"sun/car/notes\.txt: not a picture"):
        open_dataset(FOLDERS, tmp_path).images("train")
    (tmp_path / "scenes/sun/car").rename(tmp_path / "scenes/.car")
    with pytest.raises(DataError, match=r"class 'car' is in fog/ but not in sun/\n"):
        open_dataset(FOLDERS, tmp_path).images("train")
    for number, path in enumerate(sorted((tmp_path / "scenes/sun").rglob("*.png"))):
        path.rename(tmp_path / f"scenes/sun/{number}.png")
    for left in list((tmp_path / "scenes/sun").iterdir()):
        if left.is_dir():
            shutil.rmtree(left)
    with pytest.raises(DataError, match=r"but not in sun/, which has no class folders\n"):
        open_dataset(FOLDERS, tmp_path).images("train")


@pytest.mark.parametrize(
    ("held_out", "told"),
    [
        ("[sketh]", "did you mean 'sketch'?  (must be one of art_painting, cartoon, photo, sketch)"),
        ("[photo, photo]", "'photo' is named twice"),
        ("[art_painting, cartoon, photo, sketch]", "all domains are held out"),
    ],
)
def test_a_recipe_with_wrong_targets_points_at_them(tmp_path: Path, held_out: str, told: str) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"data:\n  kind: pacs\n  held_out: {held_out}\nmethod: {{kind: byol}}\n")
    with pytest.raises(RecipeError) as error:
        read_recipe(recipe)
    assert told in str(error.value)
    assert error.value.where is not None
    assert f"{recipe}:3:" in error.value.where


def test_the_order_of_targets_says_nothing() -> None:
    styles = (DigitsStyles(kind="digits_styles", held_out=names) for names in (("neon", "ink"), ("ink", "neon")))
    assert len({style.model_dump_json() for style in styles}) == 1
