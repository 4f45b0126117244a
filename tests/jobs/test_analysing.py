"""`sslrun analyse` and the cell `analyses` on digits in four styles."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sslrun.data.dataset import open_dataset
from sslrun.errors import InputError
from sslrun.evaluation.analyses import analysed
from sslrun.evaluation.features import pixels
from sslrun.evaluation.judge import Judge
from sslrun.evaluation.own_statistics import with_statistics_of
from sslrun.evaluation.purity import neighbours, purity
from sslrun.files import write_text
from sslrun.jobs import analysing, evaluate_run, evaluating, places
from sslrun.jobs.analysing import analyse_runs, planes
from sslrun.jobs.evaluating import kept_encoder
from sslrun.networks.group import Group
from sslrun.recipe import read_recipe, to_yaml
from sslrun.recipe.schema import Analyses
from sslrun.runs import load_runs
from sslrun.runs.folder import RunFolder, create
from sslrun.runs.records import EvaluationRecord

Run = Callable[..., tuple[int, str, str]]

RECIPE = """
data: {kind: digits_styles, held_out: [neon], limit: 64}
network:
  backbone: {kind: small_resnet, width: 8}
  projector: {hidden: 16, out: 8}
method: {kind: simclr}
training: {epochs: 1, batch_size: 32}
evaluation: {knn: null, linear: null, analyses: {images_per_domain: 20, neighbours: 3}}
run: {threads: 1, device: cpu}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, seeds 0 and 1; the second is evaluated after its epoch too."""
    from sslrun.jobs import places, pretrain_job

    folder = tmp_path_factory.mktemp("analyses")
    write_text(folder / "styles.yaml", RECIPE)
    for name, changes in (("a", []), ("b", ["seed=1", "evaluation.every=1", "training.keep_encoder_at=[1]"])):
        recipe = read_recipe(str(folder / "styles.yaml"), [f"name={name}", *changes])
        pretrain_job(recipe, places(recipe, folder / "results"))
    return folder / "results"


def runs(results: Path) -> list[RunFolder]:
    return [RunFolder(next(results.glob(f"{name}-*"))) for name in "ab"]


def test_cells_are_of_the_same_balanced_images(results: Path) -> None:
    a, b = analyse_runs(runs(results))
    own = {key: value for key, value in a.metrics.items() if key.startswith("pixels.")}
    assert own == {key: value for key, value in b.metrics.items() if key.startswith("pixels.")}
    assert a.metrics["untrained.domain_probe"] <= 1
    assert a.metrics["images"] == 80

    data = read_recipe(runs(results)[0].recipe).data
    parts = [open_dataset(data, Path("none")).images(split) for split in ("validation", "test")]
    images, labels, domains = [], [], []
    for domain in range(4):  # 2 of each class, in order
        of = parts[1] if int(parts[1].domains[0]) == domain else parts[0]  # type: ignore[index]  # they have domains
        for label in range(10):
            index = ((of.labels == label) & (of.domains == domain)).nonzero()[:2, 0]
            images.append(pixels(of.subset(index)))
            labels += [label] * 2
            domains += [domain] * 2
    nearest = neighbours(torch.cat(images), 3)
    assert a.metrics["pixels.domain_purity"] == purity(nearest, torch.tensor(domains))
    assert a.metrics["pixels.class_purity"] == purity(nearest, torch.tensor(labels))


def test_table_of_runs_and_history_have_the_measures(results: Path) -> None:
    table = load_runs(results)
    assert {"analyses.domain_purity", "untrained.analyses.domain_purity", "pixels.analyses.class_purity"} <= set(table)
    last = runs(results)[1].history.last() or {}
    (cell,) = analyse_runs(runs(results)[1:])
    assert last["probe.analyses.domain_probe"] == cell.metrics["domain_probe"]


def test_analyse_lays_runs_side_by_side_and_draws_them(sslrun: Run, results: Path, tmp_path: Path) -> None:
    before = sorted(results.rglob("*.json"))
    code, out, err = sslrun("analyse", "a", "b", "--results", results, "--out", tmp_path / "both.png")
    assert (code, err) == (0, "")
    for text in ("domain purity", "chance", "untrained encoder of a-", "raw pixels", "drawn to", "On 80 images"):
        assert text in out
    assert "Hardness of negatives, the same views under BSS" in out
    assert (tmp_path / "both.png").stat().st_size > 10_000
    assert sorted(results.rglob("*.json")) == before  # nothing was computed again

    code, out, _ = sslrun("analyse", "a", "--results", results, "--json", "--set", "evaluation.analyses.neighbours=2")
    assert code == 0
    (told,) = json.loads(out)["runs"]
    assert told["run"] == runs(results)[0].path.name
    assert len(list(runs(results)[0].path.glob("evaluations/analyses-*"))) == 2


def test_domains_apart_each_under_statistics_of_their_own(sslrun: Run, results: Path) -> None:
    asked = "evaluation.analyses.across_domains=true"
    (cell,) = analyse_runs(runs(results)[:1], [asked])
    metrics = cell.metrics
    shared = {"domain_purity", "domain_purity_same_class", "class_purity", "class_purity_across", "cluster_purity"}
    own = {name.removeprefix("own_statistics.") for name in metrics if name.startswith("own_statistics.")}
    assert own == shared | {"domain_probe"}
    assert {name for name in metrics if name.startswith("pixels.own_statistics.")} == set()

    recipe = read_recipe(runs(results)[0].recipe, [asked, "evaluation.analyses.images_per_domain=20"])
    judge = Judge(recipe, places(recipe).data, results, torch.device("cpu"))
    encoder = kept_encoder(runs(results)[0], judge, None)
    images = analysed(Analyses(images_per_domain=20, neighbours=3), judge.subject(encoder))
    h_MD = torch.empty(80, 32)
    assert images.domains is not None
    for domain in range(4):  # 20 images a domain, in one batch: its statistics are of these
        index = (images.domains == domain).nonzero()[:, 0]
        adapted = with_statistics_of(images.images[index], encoder, judge.views.plain, device=torch.device("cpu"))
        with torch.no_grad():
            h_MD[index] = adapted(judge.views.plain(images.images[index]))
    nearest = neighbours(h_MD, 3, across_M=images.domains)
    assert metrics["own_statistics.class_purity_across"] == purity(nearest, images.labels)
    assert metrics["own_statistics.domain_purity"] == purity(neighbours(h_MD, 3), images.domains)

    code, out, err = sslrun("analyse", "a", "--results", results, "--set", asked)
    assert (code, err) == (0, "")
    assert "from other domains" in out and "The same under batch norm statistics of each domain" in out


def test_an_encoder_kept_on_the_way_is_analysed_as_the_last_is(results: Path) -> None:
    b = runs(results)[1]
    (kept,) = analyse_runs([b], at=1)
    (last,) = analyse_runs([b])
    assert (kept.at, last.at) == (1, None)
    assert kept.metrics == last.metrics  # it is the last one
    with pytest.raises(InputError, match="no encoder was kept after epoch 7"):
        analyse_runs([b], at=7)


def test_processes_of_a_group_judge_together(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Group] = []

    def judges(*_: object, group: Group) -> list[EvaluationRecord]:
        asked.append(group)
        return []

    monkeypatch.setattr(evaluating, "evaluation_job", judges)
    group, folder = Group(1, 2), runs(results)[0]
    assert evaluating.evaluate_by(read_recipe(folder.recipe), folder, (), group=group) == []
    assert asked == [group]


def test_planes_are_the_principal_axes_of_the_features(results: Path) -> None:
    a, b, untrained = planes(runs(results))
    for plane in (a, b, untrained):
        assert plane.points.shape == (80, 2)
        assert plane.points.mean(0) == pytest.approx([0, 0], abs=1e-9)
        assert plane.points[:, 0].var() >= plane.points[:, 1].var()
        assert plane.points[:, 0] @ plane.points[:, 1] == pytest.approx(0, abs=1e-9)
    assert (a.domains == b.domains).all()
    assert a.domain_names[int(a.domains[-1])] == "neon"
    assert np.array_equal(untrained.points, planes(runs(results)[:1])[-1].points)
    assert not np.allclose(untrained.points, planes(runs(results)[1:])[-1].points)  # of another seed


def test_runs_on_other_data_or_of_other_questions_are_refused(results: Path, tmp_path: Path) -> None:
    first = runs(results)[0]
    recipe = read_recipe(first.recipe, ["data.held_out=[ink]"])
    other = create(tmp_path, "other", "0" * 64, to_yaml(recipe))
    with pytest.raises(InputError, match=r"can't be compared with a-.*held_out \['ink'\], not \['neon'\]"):
        analyse_runs([first, other])
    recipe = read_recipe(first.recipe, ["evaluation.analyses.neighbours=9"])
    asking = create(tmp_path, "asking", "1" * 64, to_yaml(recipe))
    with pytest.raises(InputError, match=r"evaluation\.analyses has neighbours 9, not 3"):
        analyse_runs([first, asking])
    digits = create(tmp_path, "digits", "2" * 64, to_yaml(read_recipe("quickstart")))
    with pytest.raises(InputError, match="digits images have no domains to analyse"):
        evaluate_run(digits, ["analyses"])


def test_runs_are_analysed_on_the_data_that_are_named(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(analysing, "evaluate_by", lambda *_, data, at: [opened.append((data, at))])
    analyse_runs(runs(results), data=tmp_path, at=1)
    (data, at), again = opened
    assert (data.root, at) == (tmp_path, 1) and again == (data, at)  # opened once
