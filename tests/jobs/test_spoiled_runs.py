"""A run of whose files one has been cut, emptied, zeroed or changed: evaluated, exported or gone on with, it ends well
with the same bits, or says which file is at fault."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from spoiling import files_of, spoilt

from sslrun.errors import SslrunError
from sslrun.jobs import evaluate_run, places, pretrain_job
from sslrun.jobs.exporting import export, load_encoder
from sslrun.recipe import read_recipe
from sslrun.recipe.schema import Recipe
from sslrun.runs.folder import RunFolder, run_folders

RECIPE = """
data: {kind: digits, size: 16, limit: 48}
views: {size: 16, blur: null}
network: {backbone: {kind: small_resnet, width: 8}, projector: {hidden: 16, out: 8}}
method: {kind: byol, predictor: {kind: linear}}
training: {epochs: 2, batch_size: 16, keep_encoder_at: [1]}
evaluation: {knn: {k: 3}, linear: null, baselines: []}
run: {threads: 1, device: cpu, checkpoint_minutes: 0}
"""


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, RunFolder]:
    folder = tmp_path_factory.mktemp("calm")
    (folder / "tiny.yaml").write_text(RECIPE)
    recipe = read_recipe(folder / "tiny.yaml")
    return recipe, pretrain_job(recipe, places(recipe, folder / "results"))[0]


@pytest.mark.parametrize("finished", [True, False])
def test_no_file_of_a_run_can_end_a_job_with_a_traceback(
    finished: bool, calm: tuple[Recipe, RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sslrun.jobs.pretraining.environment", lambda threads: {})  # asks other programs
    recipe, undisturbed = calm
    failures = []
    for number in range(25):
        draw, results = Random(number), tmp_path / str(number)
        shutil.copytree(undisturbed.path, results / undisturbed.path.name)
        (run,) = run_folders(results)
        if not finished:
            run.update_status(state="running")
        path = draw.choice(files_of(run.path))
        path.write_bytes(spoilt(path.read_bytes(), draw))
        jobs: list[Callable[[RunFolder], Any]] = [lambda run: pretrain_job(recipe, places(recipe, run.path.parent))]
        if finished:
            jobs += [
                lambda run: evaluate_run(run, ["knn"], ["evaluation.knn.k=5"]),
                lambda run: export(run, "safetensors", tmp_path / "out.safetensors"),
                lambda run: load_encoder(run.encoder),
            ]
        for job in jobs:
            try:
                with suppress(SslrunError):
                    job(RunFolder(run.path))
                    if not finished:
                        assert run.encoder.read_bytes() == undisturbed.encoder.read_bytes()
            except Exception as error:
                failures.append((number, path.name, repr(error)))
        shutil.rmtree(results)
    assert failures == []
