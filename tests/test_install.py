"""What a newcomer meets before any run: the help, its cost, and every example in it."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "numpy", "pandas", "scipy", "matplotlib", "pydantic", "rich", "yaml"}


@pytest.mark.parametrize(
    ("command", "needed", "said"),
    [("--help", set(), "pretrain"), ("claims", {"pydantic", "yaml", "rich"}, "the papers claim")],
)
def test_the_help_and_the_claims_import_nothing_heavy(command: str, needed: set[str], said: str) -> None:
    code = f"import sys\nfrom sslrun.cli import main\nsys.argv = ['sslrun', '{command}']\ntry:\n    main()\nfinally:\n"
    code += f"    print('heavy:', sorted({HEAVY - needed!r} & sys.modules.keys()))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "heavy: []" in out
    assert said in out


def commands() -> list[list[str]]:
    import typer

    from sslrun.cli import app

    found: list[list[str]] = []

    def walk(command: object, path: list[str]) -> None:
        inner = getattr(command, "commands", None)
        if inner is None:
            found.append(path)
        for name, child in (inner or {}).items():
            walk(child, [*path, name])

    walk(typer.main.get_command(app), [])
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example_of_itself(command: list[str], sslrun: Run) -> None:
    code, out, _ = sslrun(*command, "--help")
    assert code == 0
    words = " ".join(out.split())
    assert f"Example: sslrun {' '.join(command)}" in words


def test_every_command_in_the_readme_exists() -> None:
    known = {command[0] for command in commands()}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(
        r"\bsslrun ([a-z]+)", "\n".join(re.findall(r"^```(?!bibtex)\w*\n(.*?)^```", readme, re.S | re.M))
    )
    assert named
    assert set(named) <= known


def test_the_readme_opens_with_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "pip install -e . && sslrun pretrain recipes/quickstart.yaml" in readme
    assert "pip install -e '.[test]' && pytest" in readme


def test_an_unknown_option_exits_with_2_and_no_traceback() -> None:
    command = shlex.split(f"{sys.executable} -m sslrun pretrain quickstart --fresch")
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"})
    assert done.returncode == 2
    assert "--fresch" in done.stderr
    assert "Traceback" not in done.stderr
