"""Small sweeps on digits, run as users run them: by the command line, in processes of their own."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import warm

BASE = """\
data: {kind: digits, size: 16, limit: 256}
views:
  crop: {scale: [0.4, 1.0]}
  flip: 0
  blur: null
  greyscale: 0
  jitter: null
network:
  backbone: {kind: small_resnet, width: 8}
  projector: {hidden: 64, out: 32}
method:
  kind: byol
  predictor: {kind: directpred}
  ema: {kind: constant, momentum: 0.9}
optimizer:
  network: {kind: sgd, lr: 0.03, momentum: 0.9, weight_decay: 4.0e-4}
training: {epochs: 2, batch_size: 64}
evaluation: {knn: {k: 5}, linear: null, baselines: [untrained]}
"""

GRID = """\
base: base.yaml
axes:
  predictor:
    linear: {method.predictor: {kind: linear}}
    directpred: {}
  k:
    "5": {}
    "20": {evaluation.knn.k: 20}
seeds: 2
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session")
def start() -> Start:
    """Start `sslrun sweep` on a grid file and a results folder, with further arguments."""

    def begin(grid: Path, results: Path, *arguments: str, **how: Any) -> "subprocess.Popen[str]":
        given = ("--grid", grid, "--results", results, "--device", "cpu", *arguments)
        return warm.start("sweep", *given, stderr=subprocess.STDOUT, **how)

    return begin


@pytest.fixture(scope="session")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grid")
    (folder / "base.yaml").write_text(BASE)
    (folder / "small.yaml").write_text(GRID)
    return folder / "small.yaml"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, grid: Path, start: Start) -> Path:
    """The results folder of a sweep that nothing disturbed."""
    results = tmp_path_factory.mktemp("undisturbed")
    process = start(grid, results)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "8 cells (predictor 2 × k 2 × 2 seeds) that share 4 pretrainings" in said
    assert "8 new" in said and "8 done" in said
    return results
