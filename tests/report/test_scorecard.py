from pathlib import Path

import pytest
from synthetic_runs import make_run

from sslrun.recipe import read_recipe
from sslrun.recipe.introspect import dotted
from sslrun.recipe.schema import Recipe
from sslrun.report.claims import option_of, read_claims, reference
from sslrun.report.collecting import collect
from sslrun.report.layout import scored
from sslrun.report.scorecard import Score, _differences, contrasts, scorecard
from sslrun.runs.notes import annotate
from sslrun.runs.records import EvaluationRecord


def test_every_shipped_claim_is_whole_and_its_options_exist() -> None:
    claims = read_claims()
    options = set(dotted(Recipe))
    assert {f"Table {number}" for number in (1, 2, 3, 5, 6, 7, 8, 9)} <= {claim.table for claim in claims}
    for claim in claims:
        assert set(claim.match) | set(claim.protocol) <= options, claim
        if claim.value:
            assert claim.verified != (claim.table == "at second hand")
            assert claim.match
            parts = claim.value.partition(" (")[0].split(" ± ")
            assert all(0 <= float(part) <= 100 for part in parts)
        else:
            assert claim.grids and not claim.match


@pytest.mark.parametrize(
    ("setting", "table", "value"),
    [
        ("DirectPred, rho 0.3, epsilon 0.1", "Table 6", "77.86 ± 0.16"),
        ("DirectPred with offset 0.05, freq 1", "Table 7", "65.31 ± 18.22"),
        ("1-layer linear predictor, symmetric, no EMA, no bias", "Table 3", "36.62 ± 1.85"),
        ("2-layer BN ReLU predictor, symmetric, EMA, no bias", "Table 3", "71.58 ± 6.46"),
        ("optimal predictor every 5 minibatches, no EMA", "Table 1", "32.22 ± 2.94"),
        ("CIFAR-10, DirectPred, freq 5, 500 epochs", "Table 8", "89.56 ± 0.13"),
        ("ImageNet, linear predictor, 300 epochs", "Table 9", "69.9 (Top-5 89.6)"),
    ],
)
def test_values_are_as_printed(setting: str, table: str, value: str) -> None:
    assert [(claim.table, claim.value) for claim in read_claims() if claim.setting == setting] == [(table, value)]


def beside(folder: Path, other_data: bool = True) -> list[Score]:
    return [score for score in scorecard(collect(folder), read_claims(), other_data) if score.ours is not None]


def test_a_run_stands_beside_its_claim_with_what_it_did_otherwise(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run(tmp_path, seed, "optimizer.network.lr=0.03", "training.epochs=60", knn=0.95 + seed / 100)
    assert beside(tmp_path, other_data=False) == []
    scores = beside(tmp_path)
    assert [score.claim.table for score in scores] == ["Table 6", "Table 8"]
    assert scores[0].ours is not None
    assert (scores[0].metric, scores[0].ours.n) == ("linear", 2)
    assert scores[0].ours.mean == pytest.approx(96.5)
    told = scores[0].differences
    assert told[0] == "data digits, not stl10"
    assert {"epochs 60, not 100", "projector hidden 128, not 512", "2 seeds, not 5"} <= set(told)
    assert any("linear probe" in each and "test set" in each for each in told)
    assert not any(" lr " in each or each.startswith("predictor") for each in told)


PAPER = ["data={kind: stl10, pretrain: train+unlabeled}"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("views.jitter=null", "jitter –, not with options of its own"),
        ("views.blur=null", "blur –, not with options of its own"),
        ("views.size=32", "size 32, not 96"),
        ("network.backbone.width=8", "backbone width 8, not 64"),
        ("network.backbone.stem=cifar", "backbone stem cifar, not imagenet"),
        ("network.projector.layers=3", "projector layers 3, not 2"),
        ("network.projector.affine=true", "projector affine true, not false"),
        ("method.symmetric=false", "symmetric false, not true"),
        ("method.loss=squared", "loss squared, not cosine"),
        ("method.views=together", "views together, not apart"),
        ("method.predictor.exponent=0.25", "predictor exponent 0.25, not 0.5"),
        ("method.predictor.epsilon_inside=true", "predictor epsilon inside true, not false"),
        ("method.ema={kind: cosine, momentum: 0.99}", "ema cosine, not constant"),
        ("optimizer.network.decay_norm_and_bias=false", "decay norm and bias false, not true"),
        ("optimizer.network.nesterov=true", "nesterov true, not false"),
        ("optimizer.schedule.warmup_epochs=5", "schedule warmup epochs 5, not 0"),
        ("optimizer.predictor={lr: 0.3}", "predictor sgd, not –"),
    ],
)
def test_every_option_that_a_claim_is_not_about_is_a_difference(change: str, said: str) -> None:
    claim = next(one for one in read_claims() if one.setting == "DirectPred, rho 0.3, epsilon 0.1")
    paper = reference(claim, {})
    assert paper is not None and paper.method.predictor.epsilon == 0.1
    ours = read_recipe("stl10_directpred_paper", ["method.predictor.epsilon=0.1", change])
    assert _differences(ours, paper, claim, claim.probe, 5) == (said,)
    same = read_recipe(
        "stl10_directpred_paper", ["method.predictor.epsilon=0.1", "training.on_collapse=stop", "seed=7"]
    )
    assert _differences(same, paper, claim, claim.probe, 5) == ()


def test_each_claims_recipe_is_the_papers_in_what_it_is_about() -> None:
    for claim in read_claims():
        if claim.match and claim.table != "at second hand":
            found = reference(claim, {})
            assert found is not None, claim.setting
            for option, wanted in claim.match.items():
                value = option_of(found, option)
                assert value in (wanted if isinstance(wanted, list) else [wanted]), (claim.setting, option)


def test_only_claims_on_the_runs_own_data_unless_asked(tmp_path: Path) -> None:
    make_run(tmp_path, 0, "data={kind: cifar10}", "training.epochs=100")
    assert [score.claim.setting for score in beside(tmp_path, False)] == ["CIFAR-10, DirectPred, 100 epochs"]
    assert len(beside(tmp_path)) > 1


def test_what_the_footnote_says_is_not_called_nothing(tmp_path: Path) -> None:
    make_run(tmp_path, 0, "data={kind: stl10}")
    table = scored(beside(tmp_path, other_data=False) * 2)
    assert {row[-1].text for row in table.rows} == {"as below"} and "epochs 40, not 100" in table.notes[1]


def test_trials_stand_beside_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run(tmp_path, 0)
    assert beside(tmp_path)
    monkeypatch.setenv("SSLRUN_TRIAL", "1")
    annotate(folder, tags=read_recipe("quickstart").run.tags)
    assert not beside(tmp_path)


def test_contrasts_are_of_runs_that_are_otherwise_alike(tmp_path: Path) -> None:
    decay = "optimizer.network.weight_decay=0.0004"
    for seed in (0, 1):
        make_run(tmp_path, seed, decay, knn=0.95 + seed / 100)
        make_run(tmp_path, seed, decay, "method.predictor={kind: linear, bias: false}", knn=0.9 + seed / 50)
        make_run(tmp_path, seed, decay, "training.epochs=70", "method.predictor={kind: linear, bias: false}", knn=0.5)
    found = contrasts(beside(tmp_path))
    (one,) = [each for each in found if each.score.claim.table == "Table 6"]
    assert one.against.claim.setting == "1-layer linear predictor, regular, EMA, no bias"
    assert one.theirs == pytest.approx(77.86 - 74.51)
    assert (one.ours.estimate.n, one.ours.estimate.mean) == (2, pytest.approx(4.5))


def test_styles_and_unseen_domains_fit_no_claim_and_fewer_images_are_told(tmp_path: Path) -> None:
    make_run(tmp_path / "bss", 0, "views.style={kind: bss}")
    make_run(tmp_path / "unseen", 0, "data={kind: digits_styles, held_out: [ink]}")
    make_run(tmp_path / "few", 0, "data={kind: cifar10, limit: 256}")
    assert not beside(tmp_path / "bss") and not beside(tmp_path / "unseen")
    few = beside(tmp_path / "few", other_data=False)
    assert few and all("limit 256, not –" in score.differences for score in few)


def test_without_a_stop_gradient_no_claim_fits(tmp_path: Path) -> None:
    make_run(tmp_path, 0, "method.stop_gradient=false")
    assert not beside(tmp_path)


def test_an_absent_or_partial_file_has_fewer_rows(tmp_path: Path) -> None:
    assert read_claims(tmp_path / "absent.yaml") == []
    partial = tmp_path / "claims.yaml"
    partial.write_text(
        "papers: {p: {arxiv: '1'}}\n"
        "claims: [{paper: p, setting: kept, value: '1.50'}, {paper: q, setting: x}, {paper: p}, 7]\n"
    )
    assert [(claim.setting, claim.value, claim.verified) for claim in read_claims(partial)] == [("kept", "1.50", False)]
    partial.write_text("claims: [")
    assert read_claims(partial) == []


def test_at_second_hand_our_network_is_named_with_its_width_once(tmp_path: Path) -> None:
    changes = ("method={kind: simclr}", "views.style={kind: bss}", "data={kind: pacs, held_out: [sketch]}")
    run = make_run(tmp_path, 0, *changes, "network.backbone={kind: resnet18, width: 16}", "evaluation.udg={}", knn=0.3)
    metrics = {"1.avg": 0.3, "nn.avg": 0.2}
    run.write_evaluation(EvaluationRecord(kind="udg", identity="ab" * 32, settings={}, metrics=metrics, seconds=1.0))
    (said,) = {text for score in beside(tmp_path, other_data=False) for text in score.differences}
    assert said.endswith("epochs, ResNet-18 of width 16)")


def test_bss_at_second_hand_stands_beside_what_is_measured_there_and_is_contrasted(tmp_path: Path) -> None:
    for number, style in enumerate(("none", "bss")):
        for seed in (0, 1):
            changes = (
                "method={kind: simclr}",
                "views.size=32",
                f"views.style={{kind: {style}}}",
                "data={kind: pacs, held_out: [sketch]}",
            )
            folder = make_run(tmp_path, seed, *changes, "evaluation.udg={}", knn=0.3)
            metrics = {"1.avg": 0.3 + number / 10, "5.avg": 0.4, "nn.avg": 0.2}
            folder.write_evaluation(
                EvaluationRecord(kind="udg", identity="ab" * 32, settings={}, metrics=metrics, seconds=1.0)
            )
    scores = beside(tmp_path, other_data=False)
    assert [(score.claim.value, round(score.ours.mean, 1)) for score in scores if score.ours] == [
        ("25.2", 30.0),
        ("48.8", 40.0),
        ("36.8", 40.0),
        ("52.6", 40.0),
    ]
    assert not any(score.claim.verified for score in scores)
    here = "how it was done there is not known to us (here 32 px, 40 epochs, small ResNet of width 16)"
    assert {score.differences for score in scores} == {(here,)}
    assert {row[-1].text for row in scored(scores).rows} == {"nothing more"}
    found = {round(each.theirs, 1): each.ours.estimate.mean for each in contrasts(scores)}
    assert found[23.6] == pytest.approx(10) and found[15.8] == pytest.approx(0)
