"""Which grids test which claims."""

from collections.abc import Callable

import pytest

from sslrun.recipe.shipped import shipped_grids
from sslrun.report import claim_list
from sslrun.report.claim_list import claim_table
from sslrun.report.claims import read_claims

Run = Callable[..., tuple[int, str, str]]


def test_each_claim_is_laid_beside_the_grids_that_have_its_condition() -> None:
    claims = read_claims()
    rows = dict(zip(((claim.table, claim.setting) for claim in claims), claim_table(claims).texts, strict=True))
    assert rows["Table 3", "1-layer linear predictor, symmetric, EMA, no bias"][4] == (
        "directpred/table3, directpred/claims_digits_tuned on digits"
    )
    for (table, setting), row in rows.items():
        if table.startswith("Table ") and "in the text" not in setting:
            assert f"directpred/{table.lower().replace(' ', '')}" in row[4], row
    longer = rows["Table 8", "STL-10, DirectPred, 300 epochs"][4]
    assert "directpred/table8 with --set training.epochs=300" in longer
    for claim in claims:  # what has no number names its grids
        assert (claim.grids or claim.match) and set(claim.grids) <= set(shipped_grids()), claim.setting
        assert all(name in rows[claim.table, claim.setting][4] for name in claim.grids)
    assert (
        "bss/r6_batch" in rows["third party", next(c.setting for c in claims if "lowers domain purity" in c.setting)][4]
    )
    assert all((row[3] == "the paper") == claim.verified for row, claim in zip(rows.values(), claims, strict=True))


def test_the_hint_is_of_a_grid_that_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("directpred/table7", "directpred/table8", "ablations_cifar10")
    monkeypatch.setattr(claim_list, "shipped_grids", lambda: {name: shipped_grids()[name] for name in few})

    def hints(words: str) -> str:
        return "\n".join(claim_table([claim for claim in read_claims() if words in claim.setting]).notes)

    assert "sslrun sweep --grid directpred/table7 --plan" in hints("offset 0.1")
    assert "explain" not in hints("offset 0.1")  # its base does as the paper did
    assert "sslrun sweep --grid directpred/table8 --set training.epochs=300 --plan" in hints("freq 5, 300 epochs")
    assert "sslrun explain cifar10_directpred cifar10_directpred_paper" in hints("CIFAR-10, linear predictor, 100")
    assert "sslrun sweep" not in hints("lowers domain purity")
    assert "Second hand" in hints("lowers domain purity") and "Second hand" not in hints("offset 0.1")


def test_claims_are_found_by_words(sslrun: Run) -> None:
    code, _, said = sslrun("claims", "nonsense")
    assert code == 2 and "no claim has 'nonsense'" in said
    code, found, _ = sslrun("claims", "stl-10", "DirectPred", "300 epochs")
    assert code == 0 and "STL-10, DirectPred, 300 epochs" in found
    assert "100 epochs" not in found and "CIFAR" not in found.partition("One of the grids")[0]
    code, found, _ = sslrun("claims", "digits", "symmetric")
    assert code == 0 and "on digits" in found and "none" not in found.partition("One of the grids")[0]
    code, _, said = sslrun("claims", "DirectPred", "PACS")
    assert code == 2 and "no claim has 'DirectPred' and 'PACS' in it" in said
