import json
import math
import multiprocessing
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from sslrun.errors import InputError, Unreadable
from sslrun.recipe import read_recipe, to_yaml
from sslrun.runs.cells import CellName
from sslrun.runs.folder import RunFolder, create, find, split_name
from sslrun.runs.records import EvaluationRecord, State, Status, utc_now
from sslrun.runs.resolving import resolve

RECIPE = "name: quick\nseed: 3\noptimizer:\n  lr: 1e-4\n  decay: -2.5E+3\n  kind: sgd\nviews: null\nscale: [0.1, 1]\n"
RECIPE += "words: [on, 2026-01-01, '1']\n"


def identity_from(seed: int) -> str:
    return f"{random.Random(seed).getrandbits(256):064x}"


def test_a_run_is_made_once_and_found_by_its_digits_whatever_its_name(tmp_path: Path) -> None:
    identity = identity_from(1)
    folder = create(tmp_path, "quick", identity, RECIPE)
    assert folder.path == tmp_path / f"quick-{identity[:16]}"
    assert (folder.name, folder.identity) == ("quick", identity)
    assert folder.recipe.read_text() == RECIPE
    assert folder.status.state == "queued"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", folder.status.created)
    assert create(tmp_path, "other-name", identity, RECIPE) == folder
    renamed = folder.path.rename(tmp_path / f"a-better-name-{identity[:16]}")
    assert find(tmp_path, identity) == RunFolder(renamed)
    assert create(tmp_path, "quick", identity, RECIPE).path == renamed
    assert find(tmp_path, identity_from(2)) is None
    assert find(tmp_path / "absent", identity) is None


def test_the_recipe_is_kept_for_programs_with_its_numbers_as_numbers(tmp_path: Path) -> None:
    folder = create(tmp_path, "quick", identity_from(1), RECIPE)
    recipe = json.loads((folder.path / "identity.json").read_text())["recipe"]
    assert recipe == {
        "name": "quick",
        "seed": 3,
        "optimizer": {"lr": 1e-4, "decay": -2500.0, "kind": "sgd"},
        "views": None,
        "scale": [0.1, 1],
        "words": ["on", "2026-01-01", "1"],
    }


def test_another_identity_behind_the_same_digits_is_refused(tmp_path: Path) -> None:
    identity = identity_from(1)
    folder = create(tmp_path, "quick", identity, RECIPE)
    twin = identity[:16] + identity_from(2)[16:]
    for look_up in (lambda: find(tmp_path, twin), lambda: create(tmp_path, "quick", twin, RECIPE)):
        with pytest.raises(InputError, match=re.escape(str(folder.path))):
            look_up()
    assert folder.identity == identity


def test_a_folder_left_half_made_is_completed(tmp_path: Path) -> None:
    identity = identity_from(1)
    folder = create(tmp_path, "quick", identity, RECIPE)
    (folder.path / "identity.json").unlink()
    assert find(tmp_path, identity) is None
    with pytest.raises(InputError, match="not a run"):
        _ = RunFolder(folder.path).identity
    assert create(tmp_path, "quick", identity, RECIPE).identity == identity
    with pytest.raises(ValueError, match="full identity"):
        create(tmp_path, "quick", identity[:16], RECIPE)


def test_set_aside_is_out_of_every_look_up(tmp_path: Path) -> None:
    identity = identity_from(1)
    folder = create(tmp_path, "quick", identity, RECIPE)
    old = folder.set_aside()
    assert old.name.startswith(f"quick-{identity[:16]}-old-")
    assert old.is_dir()
    assert not folder.path.exists()
    assert find(tmp_path, identity) is None
    again = create(tmp_path, "quick", identity, RECIPE)
    assert again.path == folder.path
    assert again.set_aside() != old


def test_status_survives_a_round_trip_and_keys_of_later_versions(tmp_path: Path) -> None:
    folder = create(tmp_path, "quick", identity_from(1), RECIPE)
    status = folder.update_status(state="running", started=utc_now(), threads=2, epochs=60)
    assert folder.status == status
    status = folder.update_status(state="collapsed", verdict="complete", evidence={"std": 0.01, "rank": None})
    assert status.finished_well
    assert (status.threads, status.evidence) == (2, {"std": 0.01, "rank": None})
    path = folder.path / "status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "later": 1}))
    assert folder.status == status
    with pytest.raises(TypeError):
        folder.update_status(stat="done")
    for text in ('{"state": "running"', '{"state": "sleeping"}', "[]"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"status\.json"):
            _ = folder.status
    assert not Status(State.QUEUED).finished_well


def test_evaluation_cells_are_kept_apart_and_compared_in_full(tmp_path: Path) -> None:
    folder = create(tmp_path, "quick", identity_from(1), RECIPE)
    first, second = identity_from(5), identity_from(6)
    cells = [
        EvaluationRecord(kind="knn", at=at, identity=name, settings={"k": 5}, metrics={"accuracy": 0.9}, seconds=1.0)
        for at, name in ((None, first), (100, second))
    ]
    paths = [folder.write_evaluation(cell) for cell in cells]
    assert [path.name for path in paths] == [f"knn-{first[:16]}.json", f"knn-epoch100-{second[:16]}.json"]
    assert folder.read_evaluation(CellName("knn"), first) == cells[0]
    assert folder.read_evaluation(CellName("knn", 100), second) == cells[1]
    assert folder.read_evaluation(CellName("knn"), second) is None
    assert sorted(folder.evaluations(), key=str) == sorted(cells, key=str)
    with pytest.raises(InputError, match="nothing of it is reused"):
        folder.read_evaluation(CellName("knn"), first[:16] + second[16:])
    paths[0].write_text("{")
    with pytest.raises(Unreadable, match="its sweep computes it again"):
        folder.read_evaluation(CellName("knn"), first)
    assert folder.lacking([(CellName("knn"), first), (CellName("knn", 100), second)]) == [CellName("knn")]
    with pytest.raises(ValueError, match="JSON"):
        folder.write_evaluation(replace(cells[0], metrics={"accuracy": math.nan}))


def test_kept_encoders_are_listed_in_order(tmp_path: Path) -> None:
    folder = create(tmp_path, "quick", identity_from(1), RECIPE)
    for epoch in (300, 20, 100):
        folder.encoder_at(epoch).touch()
    folder.encoder.touch()
    assert folder.kept_epochs() == [20, 100, 300]


def create_in_a_process(results: Path, name: str, barrier: "multiprocessing.synchronize.Barrier") -> None:
    barrier.wait()
    create(results, name, identity_from(1), RECIPE)


def test_processes_that_race_get_the_same_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(6)
    jobs = [
        context.Process(target=create_in_a_process, args=(tmp_path, f"name{number}", barrier)) for number in range(6)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0] * 6
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


@pytest.mark.parametrize(
    ("folder_name", "parts"),
    [
        ("a-0123456789abcdef", ("a", "0123456789abcdef")),
        ("a-b.c_d-0123456789abcdef", ("a-b.c_d", "0123456789abcdef")),
        ("0123456789abcdef", ("", "0123456789abcdef")),
        ("a-0123456789abcdef-old-20260101T000000Z", ("a-0123456789abcdef-old-20260101T000000Z", "")),
        ("a0123456789abcdef", ("a0123456789abcdef", "")),
        ("tables", ("tables", "")),
    ],
)
def test_the_digits_are_read_off_a_folders_name(folder_name: str, parts: tuple[str, str]) -> None:
    assert split_name(folder_name) == parts


def test_what_the_user_types_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = tmp_path / "results"
    names = ["quick", "quickstart", "quickstart", "cifar10"]
    runs = [create(results, name, identity_from(number), RECIPE) for number, name in enumerate(names)]
    monkeypatch.chdir(tmp_path)
    assert resolve(results, str(runs[1].path)) == runs[1]
    assert resolve(results, f"results/{runs[1].path.name}").identity == runs[1].identity
    assert resolve(results, runs[1].path.name) == runs[1]
    assert resolve(results, "quick") == runs[0]  # an exact name, though others begin with it
    assert resolve(results, "cif") == runs[3]
    for run in runs:
        assert resolve(results, run.identity[:6]) == run
    with pytest.raises(InputError, match=r"2 runs .* 'quickstart'") as two:
        resolve(results, "quickstart", only=True)
    assert all(run.path.name in str(two.value) for run in runs[1:3])
    with pytest.raises(InputError, match="Did you mean") as near:
        resolve(results, "cifra10")
    assert runs[3].path.name in str(near.value)
    with pytest.raises(InputError, match="no run 'zzz'"):
        resolve(results, "zzz")
    with pytest.raises(InputError, match="no run ''"):
        resolve(results, "")
    (tmp_path / "foreign").mkdir()
    with pytest.raises(InputError, match="not a run"):
        resolve(results, str(tmp_path / "foreign"))
    with pytest.raises(InputError, match="no runs there"):
        resolve(tmp_path / "absent", "quick")
    assert near.value.exit_code == 2


def test_the_end_of_a_log_and_what_is_written_to_it_from_now_on(tmp_path: Path) -> None:
    folder = create(tmp_path, "quick", identity_from(1), RECIPE)
    assert folder.last_lines(3) == []
    folder.log.write_bytes(b"\xff" + b"".join(b"line %d %s\n" % (number, b"-" * 90) for number in range(100)))
    assert [line.split()[1] for line in folder.last_lines(3)] == ["97", "98", "99"]
    assert len(folder.last_lines(1000)) == 100
    coming = folder.follow_log()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(next, coming)
        while not first.done():  # whenever it has begun to look
            with folder.log.open("ab") as log:
                log.write("more ü\n".encode() + b"\xff\n")
            time.sleep(0.05)
        assert set(first.result().splitlines()) == {"more ü", "\ufffd"}


def test_a_run_is_found_under_its_likely_name_without_a_look_at_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create(tmp_path, "quick", "a" * 64, "name: quick\n")
    renamed = create(tmp_path, "quick", "b" * 64, "name: quick\n")
    renamed.path.rename(renamed.path.with_name(f"other-{'b' * 16}"))
    listed = []
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda path, pattern: listed.append(pattern) or glob(path, pattern))
    assert find(tmp_path, "a" * 64, "quick") == made and create(tmp_path, "quick", "a" * 64, "") == made
    assert not listed
    found = find(tmp_path, "b" * 64, "quick")
    assert found is not None and found.path.name == f"other-{'b' * 16}" and listed


def test_values_that_are_known_are_what_the_recipe_reads_as(tmp_path: Path) -> None:
    recipe = read_recipe("quickstart")
    given = create(tmp_path, "given", "1" * 64, to_yaml(recipe), recipe.model_dump(mode="json"))
    read = create(tmp_path, "read", "2" * 64, to_yaml(recipe))
    assert given.record.recipe == read.record.recipe
