"""What all predictors owe a run: seeded weights, checkpoints that continue bit for bit; and those that draw, how."""

from typing import Annotated, Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from sslrun.networks.predictors import Predictor, build_predictor
from sslrun.recipe.schema.predictor import Predictor as Section

D = 5
SECTIONS: TypeAdapter[Section] = TypeAdapter(Annotated[Section, "as a field"])
KINDS: list[dict[str, Any]] = [
    {"kind": "none"},
    {"kind": "linear", "bias": True, "restart_every": 3},
    {"kind": "mlp", "affine": True, "restart_every": 3, "restart_layers": "last"},
    {"kind": "symmetric", "decay": 0.1},
    {"kind": "symmetric", "layers": 2, "restart_every": 2},
    {"kind": "symmetric_norm"},
    {"kind": "symmetric_row_norm"},
    {"kind": "diagonal"},
    {"kind": "directpred", "center": True, "freq": 2},
    {"kind": "directpred", "rho": None},
    {"kind": "offset", "offset": 0.05},
    {"kind": "directset", "norm": "frobenius"},
    {"kind": "directcopy"},
    {"kind": "solve"},
    {"kind": "minimal_space", "rho": None, "freq": 3, "center": True, "psd_steps": 2},
    {"kind": "partition", "hyperplanes": 2},
]


def label(options: dict[str, Any]) -> str:
    return " ".join(str(value) for value in options.values())


def build(options: dict[str, Any], seed: int = 0) -> Predictor:
    section = SECTIONS.validate_python(options)
    return build_predictor(section, D, torch.Generator().manual_seed(seed))


def train(predictor: Predictor, start: int, stop: int) -> list[torch.Tensor]:
    """Steps `start` to `stop` by plain gradient; returns all predictions."""
    predictions = []
    for n in range(start, stop):
        z, t = torch.randn(2, 8, D, generator=torch.Generator().manual_seed(n)).unbind()
        predictor.observe([z], [t])
        p = predictor(z)
        predictions.append(p.detach().clone())
        if list(predictor.parameters()):
            predictor.zero_grad()
            (p - t).square().sum().backward()
            with torch.no_grad():
                for parameter in predictor.parameters():
                    if parameter.grad is not None:
                        parameter.sub_(parameter.grad, alpha=1e-3)
        predictor.after_step(n)
    return predictions


@pytest.mark.parametrize("options", KINDS, ids=label)
def test_a_checkpoint_continues_bit_for_bit(options: dict[str, Any]) -> None:
    whole = build(options)
    expected = train(whole, 0, 9)
    first, second = build(options), build(options, seed=1)
    train(first, 0, 4)
    second.load_state_dict(first.state_dict())
    for actual, wanted in zip(train(second, 4, 9), expected[4:], strict=True):
        assert torch.equal(actual, wanted)
    assert all(torch.equal(a, b) for a, b in zip(second.parameters(), whole.parameters(), strict=True))


@pytest.mark.parametrize(
    ("options", "captured"),
    [
        ({"kind": "linear"}, "whole"),
        ({"kind": "mlp"}, "whole"),
        ({"kind": "linear", "restart_every": 3}, "beside"),  # drawn on the host
        ({"kind": "symmetric"}, "whole"),
        ({"kind": "symmetric_norm"}, "beside"),  # an eigendecomposition, which waits
        ({"kind": "directpred"}, "whole"),
        ({"kind": "directpred", "freq": 3}, "beside"),
        ({"kind": "directpred", "exponent": 0.7}, "beside"),  # as do all rules but the root
        ({"kind": "directpred", "center": True}, "beside"),
        ({"kind": "directpred", "rho": None}, "beside"),
        ({"kind": "directpred", "rho": 0.99}, "whole"),
        ({"kind": "directpred", "epsilon": 1e-5, "floor": 0}, "beside"),
        ({"kind": "directpred", "epsilon_inside": True}, "beside"),
        ({"kind": "offset", "offset": 0.05}, "beside"),
    ],
    ids=str,
)
def test_what_of_a_step_may_be_captured(options: dict[str, Any], captured: str) -> None:
    assert build(options).captured == captured


@pytest.mark.parametrize("options", KINDS, ids=label)
def test_weights_come_from_the_generator_alone(options: dict[str, Any]) -> None:
    before = torch.get_rng_state()
    one, same, other = build(options), build(options), build(options, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not list(one.parameters()) or any(
        not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True)
    )


@pytest.mark.parametrize("options", KINDS, ids=label)
def test_optimizers_keep_their_references(options: dict[str, Any]) -> None:
    """W_p is overwritten in place: the same parameters, still leaves that want gradients."""
    predictor = build(options)
    parameters = list(predictor.parameters())
    storage = [p.data_ptr() for p in parameters]
    train(predictor, 0, 4)
    assert [p.data_ptr() for p in predictor.parameters()] == storage
    assert all(p.requires_grad and p.is_leaf for p in parameters)


def test_initial_weights_are_pytorchs() -> None:
    wide = build_predictor(SECTIONS.validate_python({"kind": "linear"}), 400, torch.Generator())
    (weight,) = wide.parameters()
    assert weight.abs().max() <= 400**-0.5
    assert weight.std().item() == pytest.approx((3 * 400) ** -0.5, rel=0.01)


@pytest.mark.parametrize(("layers", "redrawn"), [("all", {0, 1}), ("first", {0}), ("last", {1})])
def test_restarts(layers: str, redrawn: set[int]) -> None:
    """Before iterations 0, 3, 6, ...: Xavier-uniform weights, biases 0; the other layers stay as they are."""
    options = {"kind": "mlp", "hidden": 300, "restart_every": 3, "restart_layers": layers}
    predictor = build(options)
    linears = [module for module in predictor.modules() if isinstance(module, torch.nn.Linear)]
    for n in range(6):
        for i, linear in enumerate(linears):
            fresh = n % 3 == 0 and i in redrawn
            assert fresh == bool((linear.bias == 0).all())
            if fresh:
                bound = (6 / (D + 300)) ** 0.5
                assert linear.weight.abs().max() <= bound
                assert linear.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)
        train(predictor, n, n + 1)


def test_restarted_layers_are_put_back_under_the_constraint() -> None:
    predictor = build({"kind": "symmetric", "restart_every": 1})
    for n in range(3):
        W = predictor.matrix_DD
        assert W is not None and torch.equal(W, W.T)
        drawn = W.clone()
        train(predictor, n, n + 1)
        assert not torch.allclose(W, drawn)


def test_an_empty_side_keeps_its_correlation() -> None:
    """All outputs equal: every sample is on the positive side, and the negative sides go on as they were."""
    predictor = build({"kind": "partition", "hyperplanes": 2})
    train(predictor, 0, 2)
    before = dict(predictor.named_buffers())["W_XDD"].clone()
    same = torch.full((8, D), 0.0)
    predictor.observe([same], [same])
    after = dict(predictor.named_buffers())["W_XDD"]
    torch.testing.assert_close(after[2:], before[2:], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "symmetric", "hidden": 64}, "hidden belongs to a predictor of two layers"),
        ({"kind": "minimal_space", "time": 2.0}, "time plays no part"),
        ({"kind": "minimal_space", "variant": "finite_time", "ridge": 0.5}, "ridge plays no part"),
        ({"kind": "directpred", "epsilom": 0.1}, "epsilom"),
        ({"kind": "directpred", "freq": 0}, "greater than or equal to 1"),
        ({"kind": "offset"}, "offset"),
        ({"kind": "linear", "restart_layers": "all"}, "restart_layers"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build(options)


@pytest.mark.parametrize("options", KINDS, ids=label)
def test_a_resolved_section_reads_back(options: dict[str, Any]) -> None:
    section = SECTIONS.validate_python(options)
    assert SECTIONS.validate_python(section.model_dump()) == section
