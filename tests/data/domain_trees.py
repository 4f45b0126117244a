"""Sets of several domains, written in their published layouts: pictures of one colour each, told apart by it."""

import csv
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from sslrun.recipe.schema import Camelyon17, DomainFolders, DomainNet, Pacs

PACS_CLASSES = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
UDG20 = (
    *("The_Eiffel_Tower", "bee", "bird", "blueberry", "broccoli", "fish", "flower", "giraffe", "grass", "hamburger"),
    *("hexagon", "horse", "sun", "tiger", "toaster", "tornado", "train", "violin", "watermelon", "zigzag"),
)
OTHERS = ("aircraft_carrier", "zebra")  # of the 345 classes, but not of the 20

PACS = Pacs(kind="pacs", held_out=("cartoon",), store=16)
DOMAINNET = DomainNet(kind="domainnet", store=16)
CAMELYON17 = Camelyon17(kind="camelyon17")
FOLDERS = DomainFolders(kind="domains", path="scenes", held_out=("fog",), store=16)


def colour(name: str) -> tuple[int, int, int]:
    """A picture's colour, which its name decides."""
    red, green, blue = hashlib.sha256(name.encode()).digest()[:3]
    return red, green, blue


def write_picture(path: Path, name: str, side: int = 16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    Image.new("RGB", (side, side), colour(name)).save(content, "PNG", compress_level=1)
    path.write_bytes(content.getvalue())


def write_list(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def write_pacs(root: Path, images: str = "PACS") -> Path:
    """3 training and 2 held-out pictures of every class of every domain, in lists that are not sorted."""
    for domain in Pacs.DOMAINS:
        lists: dict[str, list[str]] = {"train": [], "crossval": [], "test": []}
        for number, label in enumerate(PACS_CLASSES, 1):
            for at in range(5):
                name = f"{domain}/{label}/pic_{at}.jpg"
                write_picture(root / images / name, name)
                for role in ("train" if at < 3 else "crossval", "test"):
                    lists[role].insert(0, f"{name} {number}")
        for role, lines in lists.items():
            write_list(root / f"PACS/splits/{domain}_{role}_kfold.txt", lines)
    return root


def write_domainnet(root: Path) -> Path:
    """2 training and 1 held-out picture of 22 classes, 20 of them those of the protocol, in each of six domains."""
    classes = sorted([*UDG20, *OTHERS])
    for domain in DomainNet.DOMAINS:
        lists: dict[str, list[str]] = {"train": [], "test": []}
        for number, label in enumerate(classes):
            for at in range(3):
                name = f"{domain}/{label}/{domain}_{number:03d}_{at:06d}.jpg"
                write_picture(root / "DomainNet" / name, name)
                lists["test" if at == 1 else "train"].append(f"{name} {number}")
        for role, lines in lists.items():
            write_list(root / f"DomainNet/{domain}_{role}.txt", lines)
    return root


def write_camelyon17(root: Path) -> Path:
    """6 patches of each of five hospitals, two of them for validation; the table's columns as published."""
    folder = root / "camelyon17_v1.0"
    folder.mkdir(parents=True)
    with (folder / "metadata.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["", "patient", "node", "x_coord", "y_coord", "tumor", "slide", "center", "split"])
        for place in range(30):
            centre = place * 7 % 5  # not in order
            patient, node, x, y, tumour = f"{centre * 20 + 4:03d}", place % 2, 3328 + place, 21792, place // 5 % 2
            slide = f"patient_{patient}_node_{node}"
            name = f"patches/{slide}/patch_{slide}_x_{x}_y_{y}.png"
            write_picture(folder / name, name, 96)
            table.writerow([place, patient, node, x, y, tumour, centre * 10 + node, centre, int(place >= 20)])
    return root


def write_folders(root: Path, per_class: int = 10) -> Path:
    """Three domains of two classes."""
    for domain in ("fog", "night", "sun"):
        for label in ("car", "tree"):
            for at in range(per_class):
                name = f"{domain}/{label}/{at}.png"
                write_picture(root / "scenes" / name, name)
    return root
