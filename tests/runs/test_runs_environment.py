import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from sslrun.runs import environment as module
from sslrun.runs.environment import environment, nvidia_gpus


def test_it_names_versions_processor_and_threads(tmp_path: Path) -> None:
    found = environment(threads=3)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["torch"] == version("torch")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["threads"] == 3
    assert found["cpu"]
    assert 1 <= found["usable_cores"] <= found["logical_cores"]  # of whatever machine this is
    assert found["memory_gib"] > 0


def git(folder: Path, *arguments: str) -> str:
    ours = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", "-C", str(folder), *ours, *arguments], capture_output=True, text=True).stdout.strip()


def test_the_commit_is_that_of_the_checkout_itself(tmp_path: Path) -> None:
    assert module._commit(tmp_path) is None
    git(tmp_path, "init")
    (tmp_path / "a.py").write_text("a = 1\n")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-m", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert len(head) == 40
    assert module._commit(tmp_path) == {"hash": head, "changed": False}
    (tmp_path / "a.py").write_text("a = 2\n")
    assert module._commit(tmp_path) == {"hash": head, "changed": True}
    installed = tmp_path / "venv" / "site-packages"
    installed.mkdir(parents=True)
    assert module._commit(installed) is None


def test_gpus_by_nvidias_tool_else_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (environment()["gpus"], environment()["driver"]) == ([], None)
    tool = tmp_path / "nvidia-smi"
    lines = ["NVIDIA A100-SXM4-80GB, 550.54.15, GPU-1a, 80994", "NVIDIA L4, 550.54.15, GPU-2b, [N/A]"]
    tool.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    tool.chmod(0o755)
    assert environment()["gpus"] == ["NVIDIA A100-SXM4-80GB", "NVIDIA L4"]
    assert environment()["driver"] == "550.54.15"
    assert [(gpu.uuid, gpu.free_mib) for gpu in nvidia_gpus()] == [("GPU-1a", 80994), ("GPU-2b", None)]
    tool.write_text("#!/bin/sh\necho 'no devices were found'\nexit 6\n")
    assert nvidia_gpus() == []


def test_the_package_costs_no_heavy_import() -> None:
    code = (
        "import sys, sslrun.runs, sslrun.runs.environment, sslrun.runs.resolving, sslrun.console\n"
        "print([name for name in ('torch', 'pandas', 'rich', 'numpy', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert done.stdout.strip() == "[]", done.stderr
