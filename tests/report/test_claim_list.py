"""Which grids test which claims."""

from collections.abc import Callable

from sslrun.report.claim_list import claim_table
from sslrun.report.scorecard import read_claims

Run = Callable[..., tuple[int, str, str]]


def test_each_claim_is_laid_beside_the_grids_that_have_its_condition() -> None:
    claims = read_claims()
    rows = dict(zip(((claim.table, claim.setting) for claim in claims), claim_table(claims).texts, strict=True))
    assert rows["Table 3", "1-layer linear predictor, symmetric, EMA, no bias"][4] == "directpred/table3"
    for (table, setting), row in rows.items():
        if table.startswith("Table ") and "in the text" not in setting:
            assert f"directpred/{table.lower().replace(' ', '')}" in row[4], row
    longer = rows["Table 8", "STL-10, DirectPred, 300 epochs"][4]
    assert "directpred/table8 with --set training.epochs=300" in longer
    assert all((row[3] == "the paper") == claim.verified for row, claim in zip(rows.values(), claims, strict=True))


def test_claims_are_found_by_words(sslrun: Run) -> None:
    code, _, said = sslrun("claims", "nonsense")
    assert code == 2 and "no claim has 'nonsense'" in said
