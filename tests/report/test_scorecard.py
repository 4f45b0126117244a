from pathlib import Path

import pytest
from synthetic_runs import make_run

from sslrun.recipe.introspect import dotted
from sslrun.recipe.schema import Recipe
from sslrun.report.collecting import collect
from sslrun.report.scorecard import read_claims, scorecard


def test_every_shipped_claim_is_whole_and_its_options_exist() -> None:
    claims = read_claims()
    options = set(dotted(Recipe))
    assert {f"Table {number}" for number in (1, 2, 3, 5, 6, 7, 8, 9)} <= {claim.table for claim in claims}
    for claim in claims:
        assert set(claim.match) | set(claim.protocol) <= options, claim
        if claim.value:
            assert claim.verified
            assert claim.match
            parts = claim.value.partition(" (")[0].split(" ± ")
            assert all(0 <= float(part) <= 100 for part in parts)
        else:
            assert claim.paper == "arXiv 2303.06088"


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


def test_a_run_stands_beside_its_claim_with_what_it_did_otherwise(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run(tmp_path, seed, "optimizer.network.lr=0.03", "training.epochs=60", knn=0.95 + seed / 100)
    scores = [score for score in scorecard(collect(tmp_path), read_claims()) if score.ours is not None]
    assert [score.claim.table for score in scores] == ["Table 6", "Table 8"]
    assert scores[0].ours is not None
    assert (scores[0].metric, scores[0].ours.n) == ("linear", 2)
    assert scores[0].ours.mean == pytest.approx(96.5)
    told = scores[0].differences
    assert {"data digits, not stl10", "epochs 60, not 100", "2 seeds, not 5"} <= set(told)
    assert any("linear probe" in each and "test set" in each for each in told)
    assert not any(each.startswith("lr") for each in told)


def test_claims_on_the_runs_own_data_come_before_others(tmp_path: Path) -> None:
    make_run(tmp_path, 0, "data={kind: cifar10}", "training.epochs=100")
    settings = [score.claim.setting for score in scorecard(collect(tmp_path), read_claims()) if score.ours]
    assert settings == ["CIFAR-10, DirectPred, 100 epochs"]


def test_styles_and_unseen_domains_fit_no_claim_and_fewer_images_are_told(tmp_path: Path) -> None:
    make_run(tmp_path / "bss", 0, "views.style={kind: bss}")
    make_run(tmp_path / "unseen", 0, "data={kind: digits_styles, held_out: [ink]}")
    make_run(tmp_path / "few", 0, "data.limit=256")
    found = {name: scorecard(collect(tmp_path / name), read_claims()) for name in ("bss", "unseen", "few")}
    beside = {name: [score for score in scores if score.ours is not None] for name, scores in found.items()}
    assert not beside["bss"] and not beside["unseen"]
    assert beside["few"] and all("limit 256, not –" in score.differences for score in beside["few"])


def test_without_a_stop_gradient_no_claim_fits(tmp_path: Path) -> None:
    make_run(tmp_path, 0, "method.stop_gradient=false")
    assert all(score.ours is None for score in scorecard(collect(tmp_path), read_claims()))


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
