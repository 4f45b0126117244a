"""The paper's tables as grids: as many cells as the tables have numbers, and one for every number that we quote."""

from typing import Any

import pytest
import yaml

from sslrun.grids import read_grid
from sslrun.recipe.schema import Recipe
from sslrun.report.claims import CLAIMS

CELLS = {  # numbers in the paper's table × its runs
    "table1": (8, 5),
    "table2": (4, 5),
    "table3": (16, 5),
    "table5": (16, 5),
    "table6": (8, 5),
    "table7": (8, 5),
    "table8": (3, 5),  # each of 500 epochs, judged at 100 and 300 too
    "table8_cifar10": (3, 5),
    "table9": (3, 1),
    "table9_300": (3, 1),
    "claims_digits": (9, 5),
    "claims_digits_tuned": (9, 10),
    "claims_rates": (54, 3),
    "claims_same_rate": (6, 10),
    "claims_digits_exploratory": (8, 10),
    "claims_cifar10_small": (5, 3),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_grid_has_a_cell_for_every_number_of_its_table(name: str) -> None:
    cells, seeds = CELLS[name]
    grid = read_grid(f"directpred/{name}")
    assert (len(grid.cells), len({cell.seed for cell in grid.cells})) == (cells * seeds, seeds)
    small = read_grid(f"directpred/{name}", small=True)
    assert [cell.labels for cell in small.cells] == [cell.labels for cell in grid.cells]
    assert all(cell.recipe.data.kind in ("digits", "cifar10") for cell in small.cells)
    assert all(cell.recipe.training.epochs <= 15 for cell in small.cells)


def test_the_tables_are_run_as_their_authors_did() -> None:
    for table in (1, 2, 3, 5, 6, 7, 8):
        for cell in read_grid(f"directpred/table{table}").cells:
            recipe = cell.recipe
            assert recipe.data.kind == "stl10" and recipe.training.batch_size == 128
            assert recipe.optimizer.network.lr == 0.03 and recipe.optimizer.network.momentum == 0.9
            assert recipe.optimizer.schedule.kind == "constant" and recipe.training.last_batch == "keep"
            assert recipe.network.backbone.kind == "resnet18" and recipe.network.projector.out == 128
            assert recipe.method.symmetric and recipe.method.loss == "cosine" and recipe.method.kind == "byol"
            assert recipe.method.target == "independent" and recipe.method.ema.kind in ("constant", "none")
            assert recipe.training.epochs == (500 if table == 8 else 100)
    for cell in read_grid("directpred/table9").cells:
        assert not cell.recipe.method.symmetric and cell.recipe.optimizer.network.kind == "sgd"
        assert (cell.recipe.training.epochs, cell.recipe.training.batch_size) == (60, 256)
    for cell in read_grid("directpred/table9_300").cells:
        assert cell.recipe.method.symmetric and cell.recipe.optimizer.network.kind == "lars"
        assert (cell.recipe.training.epochs, cell.recipe.training.batch_size) == (300, 4096)


@pytest.mark.parametrize("table", [1, 2, 3, 5, 6, 7])
def test_every_number_that_we_quote_from_a_table_has_its_cell(table: int) -> None:
    claims = [claim for claim in yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))["claims"] if "match" in claim]
    wanted = [claim for claim in claims if claim["paper"] == "directpred" and claim.get("table") == table]
    recipes = [cell.recipe for cell in read_grid(f"directpred/table{table}").cells if cell.seed == 0]
    assert len(wanted) == CELLS[f"table{table}"][0]
    matched = [[i for i, recipe in enumerate(recipes) if _matches(recipe, claim["match"])] for claim in wanted]
    assert all(len(found) == 1 for found in matched)
    assert sorted(found[0] for found in matched) == list(range(len(recipes)))


def _matches(recipe: Recipe, match: dict[str, Any]) -> bool:
    values = recipe.model_dump()
    return all(_at(values, key) in (wanted if isinstance(wanted, list) else [wanted]) for key, wanted in match.items())


def _at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values
