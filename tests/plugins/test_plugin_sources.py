"""What a plug-in's source is: its file, and those beside it that it imports; a run keeps a copy to go on with."""

import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from tiny import small

from sslrun import load_encoder
from sslrun.recipe import plugins
from sslrun.recipe.plugins import load

MIXED = (Path(__file__).parent / "mixed.py").read_text()
HELPED = MIXED.replace("return self.mix *", "return own(self.mix) *")
Run = Callable[..., tuple[int, str, str]]
Write = Callable[[str, str], Path]


@pytest.mark.parametrize(
    ("line", "files", "counts"),
    [
        ("from own_helper import own", {"own_helper.py": "def own(x): return x\n"}, True),
        ("import own_helper; own = own_helper.own", {"own_helper.py": "def own(x): return x\n"}, True),
        ("from own_pack.deep import own", {"own_pack/__init__.py": "", "own_pack/deep.py": "own = float\n"}, True),
        ("from own_pack import deep as own", {"own_pack/__init__.py": "", "own_pack/deep.py": "x = 1\n"}, True),
        (
            "from own_helper import own",
            {"own_helper.py": "from own_second import own\n", "own_second.py": "own = float\n"},
            True,
        ),
        ("own = float", {"own_helper.py": "x = 1\n"}, False),  # beside it, and not imported
        ("from random import random as own", {"random.py": "x = 1\n"}, False),  # the library's comes first
    ],
)
def test_what_it_imports_from_beside_it_is_part_of_its_digest(
    written: Write, forget: Callable[[], None], tmp_path: Path, line: str, files: dict[str, str], counts: bool
) -> None:
    for name, source in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    written("mixed", f"{line}\n{HELPED}")
    before = load("mixed").digest
    kept = plugins.sources_of(["mixed"])
    assert set(kept) == {"mixed.py", *(files if counts else ())}
    assert all(content == (tmp_path / name).read_bytes() for name, content in kept.items())
    last = tmp_path / list(files)[-1]
    last.write_text(last.read_text() + "# another\n")
    forget()
    assert (load("mixed").digest != before) == counts


def test_a_package_may_hold_what_is_no_python_and_is_copied_whole(tmp_path: Path) -> None:
    package = tmp_path / "rules"
    (package / "templates").mkdir(parents=True)
    (package / "__init__.py").write_text("from rules.mixed import *\nfrom .near import x\nfrom own_helper import y\n")
    (package / "mixed.py").write_text(MIXED)
    (package / "near.py").write_text("x = 1\n")
    (package / "templates/new.py").write_text("class {name}:\n")
    (tmp_path / "own_helper.py").write_text("y = 1\n")
    before = load("rules", [tmp_path]).digest
    names = {"__init__.py", "mixed.py", "near.py", "templates/new.py"}
    assert set(plugins.sources_of(["rules"])) == {*(f"rules/{name}" for name in names), "own_helper.py"}
    assert before == load("rules", [tmp_path]).digest


def test_alone_its_digest_is_as_it_always_was(written: Write, tmp_path: Path) -> None:
    """Of name and content; runs that are there keep their identities."""
    path = written("mixed", MIXED)
    assert load("mixed").digest == sha256(b"mixed.py\0" + sha256(path.read_bytes()).digest()).hexdigest()


def test_a_run_goes_on_by_its_own_copy_where_the_source_has_changed(
    written: Write, forget: Callable[[], None], tmp_path: Path, sslrun: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = small("training.epochs=1", "method.predictor={kind: mixed, mix: 0.2}", "evaluation.linear=null")
    path = written("mixed", f"from own_helper import own\n{HELPED}")
    (tmp_path / "own_helper.py").write_text("def own(x): return x\n")
    code, _, err = sslrun("pretrain", "quickstart", "--import", "mixed.py", *changes, "--results", "r")
    assert code == 0, err
    (run,) = Path("r").resolve().glob("quickstart-*")
    assert (run / "plugins/mixed.py").read_bytes() == path.read_bytes()
    path.write_text(path.read_text() + "# an edit\n")
    forget()
    code, _, err = sslrun("evaluate", run, "--set", "evaluation.knn.k=3")
    assert code == 2 and "the source of mixed has changed since this run was pretrained" in err
    assert f"--import {run}/plugins/mixed.py" in err and "images" not in err
    forget()
    with monkeypatch.context() as first:
        first.syspath_prepend(tmp_path)  # the edited one lies in the current folder, which `python -m` looks into first
        code, out, err = sslrun("evaluate", run, "--set", "evaluation.knn.k=4", "--import", run / "plugins/mixed.py")
    assert code == 0 and "this run" in out, err
    forget()
    path.unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    elsewhere = [place for place in sys.path if Path(place or ".") != tmp_path]
    own = ["--import", run / "plugins/mixed.py"]
    for command in (
        ["evaluate", run, "--set", "evaluation.knn.k=3"],
        ["export", run, "--to", "safetensors"],
        ["show", run],
        ["cite", run],
        ["explain", run, run],
    ):
        monkeypatch.setattr(sys, "path", list(elsewhere))
        code, _, err = sslrun(*command)
        assert code == 2 and "no such module: mixed" in err, command
        code, _, err = sslrun(*command, *own)
        assert code == 0, (command, err)
        forget()
    assert load_encoder(str(run), imports=[run / "plugins/mixed.py"]) is not None
