"""What of the machine may be used, as control groups of either version say it: a container's cores and memory."""

from pathlib import Path

import psutil
import pytest
import torch

from sslrun import limits
from sslrun.errors import InputError
from sslrun.sweeps.slots import JOB_BYTES, slots

GB = 10**9


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    monkeypatch.setattr(limits, "GROUPS", tmp_path)
    monkeypatch.setattr(limits, "OURS", tmp_path / "ours")


class Memory:
    total, available = 64 * GB, 32 * GB


def write(root: Path, ours: str, **files: str) -> None:
    (root / "ours").write_text(ours)
    for name, text in files.items():
        *folders, file = name.split("__")
        path = root.joinpath(*folders, file.replace("_dot_", "."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


V1 = "4:memory:/host/only\n2:cpu,cpuacct:/job\n"
CPU = "cpu,cpuacct__"


@pytest.mark.parametrize(
    ("ours", "files", "cores"),
    [
        ("", {}, 8),
        ("0::/\n", {"cpu_dot_max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu_dot_max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu_dot_max": "10000 100000\n"}, 1),
        ("0::/\n", {"cpu_dot_max": "max 100000\n"}, 8),
        ("0::/a/b\n", {"a__b__cpu_dot_max": "max 100000\n", "a__cpu_dot_max": "300000 100000\n"}, 3),
        ("0::/../host\n", {"cpu_dot_max": "400000 100000\n"}, 4),
        (V1, {f"{CPU}job__cpu_dot_cfs_quota_us": "250000", f"{CPU}job__cpu_dot_cfs_period_us": "100000"}, 3),
        (V1, {f"{CPU}cpu_dot_cfs_quota_us": "-1", f"{CPU}cpu_dot_cfs_period_us": "100000"}, 8),
        ("0::/\n", {"cpu_dot_max": "nonsense"}, 8),
    ],
)
def test_cores_are_those_of_the_quota(tmp_path: Path, ours: str, files: dict[str, str], cores: int) -> None:
    write(tmp_path, ours, **files)
    assert limits.cores() == cores
    assert slots("cpu").jobs == cores
    with pytest.raises(InputError, match="cores"):
        slots("cpu", jobs=cores + 1)


V2_MEMORY = {"memory_dot_current": f"{GB}", "memory_dot_stat": "anon 5\ninactive_file 200000000"}
V1_MEMORY = {"memory__memory_dot_usage_in_bytes": f"{GB}", "memory__memory_dot_stat": "total_inactive_file 0"}


@pytest.mark.parametrize(
    ("ours", "files", "total", "free"),
    [
        ("", {}, 64 * GB, 32 * GB),
        ("0::/\n", V2_MEMORY | {"memory_dot_max": f"{2 * GB}"}, 2 * GB, 1_200_000_000),
        ("0::/\n", V2_MEMORY | {"memory_dot_max": "max"}, 64 * GB, 32 * GB),
        (V1, V1_MEMORY | {"memory__memory_dot_limit_in_bytes": f"{GB}"}, GB, 0),
    ],
)
def test_memory_is_the_containers(tmp_path: Path, ours: str, files: dict[str, str], total: int, free: int) -> None:
    write(tmp_path, ours, **files)
    assert (limits.total_memory(), limits.free_memory()) == (total, free)
    fit = max(1, min(8, free // JOB_BYTES))
    assert slots("cpu").jobs == fit
    if fit < 8:
        with pytest.raises(InputError, match="memory") as refused:
            slots("cpu", jobs=fit + 1)
        assert f"--jobs {fit}:" in str(refused.value)


def test_the_share_of_a_gpus_memory_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: {"cuda:1": (10 * GB, 40 * GB)}[str(device)])
    assert limits.memory_share(torch.device("cuda:1")) == 0.75
