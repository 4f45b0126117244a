import json
import os
import subprocess
import sys
import types
from importlib.metadata import version
from pathlib import Path

import pytest

from sslrun.runs import environment as module
from sslrun.runs.environment import environment


def test_it_names_versions_processor_and_threads(tmp_path: Path) -> None:
    found = environment(threads=3)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["torch"] == version("torch")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["threads"] == 3
    assert found["cpu"]
    assert 1 <= found["usable_cores"] <= found["logical_cores"]
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


def test_gpus_by_library_else_by_tool_else_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert module._gpus() == {"gpus": [], "driver": None}
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA A100-SXM4-80GB, 550.54.15'\necho 'NVIDIA L4, 550.54.15'\n")
    tool.chmod(0o755)
    assert module._gpus() == {"gpus": ["NVIDIA A100-SXM4-80GB", "NVIDIA L4"], "driver": "550.54.15"}
    tool.write_text("#!/bin/sh\necho 'no devices were found'\nexit 6\n")
    assert module._gpus() == {"gpus": [], "driver": None}
    library = types.SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: f"GPU {handle}",
        nvmlSystemGetDriverVersion=lambda: "570.1",
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    assert module._gpus() == {"gpus": ["GPU 0", "GPU 1"], "driver": "570.1"}


def test_the_package_costs_no_heavy_import() -> None:
    code = (
        "import sys, sslrun.runs, sslrun.runs.environment, sslrun.runs.resolving, sslrun.console\n"
        "print([name for name in ('torch', 'pandas', 'rich', 'numpy', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert done.stdout.strip() == "[]", done.stderr
