"""Training on CUDA as far as a machine without a GPU can show it: no step reads the device or mixes devices."""

from collections.abc import Sequence

import pytest
import torch
from fake_cuda import CalledAgain, CountedReads, HostRead, fake_cuda
from torch import Tensor

from sslrun.data.images import ImageSet
from sslrun.evaluation.features import extract
from sslrun.methods import Method
from sslrun.methods.base import Updater
from sslrun.recipe import read_recipe
from sslrun.training.pretrain import Trainer, assemble
from sslrun.training.starting import starting_encoder

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
VECTORS = [
    "data={kind: gaussian, count: 24, dim: 4}",
    "views={noise: 0.3, crop: null, flip: 0, jitter: null, greyscale: 0, blur: null, normalize: null}",
    "network={backbone: {kind: linear, width: 4}, projector: {kind: none}}",
    "evaluation={knn: null, linear: null, baselines: []}",
    "training={epochs: 2, batch_size: 8}",
]
IMAGES = [
    "network.backbone.width=8",
    "network.projector={hidden: 6, out: 4}",
    "training={epochs: 2, batch_size: 8}",
    "views={size: 12, blur: {kernel: 3}, solarize: {probability: [0.5, 0.5], threshold: 0.5}, small: null}",
]
PREDICTORS = [
    "{kind: none}",
    "{kind: linear, restart_every: 2}",
    "{kind: mlp, hidden: 4}",
    "{kind: symmetric, decay: 0.1}",
    "{kind: symmetric, layers: 2, hidden: 4}",
    "{kind: symmetric_norm}",
    "{kind: symmetric_row_norm, hidden: 4}",
    "{kind: diagonal}",
    "{kind: directpred}",
    "{kind: directpred, rho: null, center: true, freq: 2, exponent: 0.7}",
    "{kind: offset, offset: 0.1}",
    "{kind: directset}",
    "{kind: directcopy, norm: frobenius}",
    "{kind: directcopy, norm: spectral}",
    "{kind: solve}",
    "{kind: minimal_space, psd_steps: 2}",
    "{kind: partition}",
]
METHODS = {
    "byol": ["method={kind: byol, symmetric: true, ema: {kind: cosine, momentum: 0.9}}"],
    "byol through both branches": ["method={kind: byol, stop_gradient: false}"],
    "simsiam": ["method={kind: simsiam}", "optimizer.network={kind: lars, lr: 0.1}"],
    "simclr": ["method={kind: simclr}", "optimizer.network={kind: adamw, lr: 0.1}", "training.precision=bf16"],
    "swav": ["method={kind: swav, prototypes: 5, queue: {length: 16, start_epoch: 0}, freeze_prototypes: 1}"],
    "msn": [
        "method={kind: msn, prototypes: 5}",
        "network.backbone={kind: vit, width: 8, patch: 4, depth: 1, heads: 2}",
        "views.small={count: 1, size: 8}",
        "views.blur=null",
    ],
}
STYLES = ["{kind: none}", "{kind: fa}", "{kind: bss}", "{kind: bss, styles: 2}"]


def trainer(
    device: torch.device, changes: Sequence[str], *, stream: bool = False, graphs: CalledAgain | None = None
) -> Trainer:
    how = [f"data.stream={'always' if stream else 'never'}", "run.graph=off"]  # but with given graphs
    recipe = read_recipe("quickstart", [*changes, *how])
    generator = torch.Generator().manual_seed(0)
    if recipe.data.kind == "gaussian":
        images = torch.randn(24, 4, generator=generator)
    else:
        images = torch.randint(256, (24, 3, 12, 12), generator=generator, dtype=torch.uint8)
    encoder = starting_encoder(recipe, images.shape[1])
    made = assemble(recipe, encoder, ImageSet(images, torch.full((24,), -1)), device, graphs=graphs)
    made.method.train()
    return made


def walk(
    monkeypatch: pytest.MonkeyPatch, changes: Sequence[str], *, stream: bool = False, steps: int = 2
) -> list[Tensor]:
    """The losses of the first steps on fake CUDA tensors."""
    with fake_cuda(monkeypatch) as host:
        made = trainer(CUDA, changes, stream=stream)
        host.walking = True
        batches = made.batches.epoch(0)
        losses = [made.step(next(batches), step) for step in range(steps)]
        assert {loss.device.type for loss in losses} == {"cuda"}
        for tensor in (*made.method.parameters(), *made.method.buffers()):
            assert tensor.device.type == "cuda"
    return losses


@pytest.mark.parametrize("predictor", PREDICTORS)
def test_no_predictor_makes_a_step_wait_or_mixes_devices(monkeypatch: pytest.MonkeyPatch, predictor: str) -> None:
    walk(monkeypatch, [*VECTORS, f"method.predictor={predictor}"])
    made = trainer(CPU, [*VECTORS, f"method.predictor={predictor}"])  # with numbers, linear algebra among them
    with CountedReads() as reads:
        for step, batch in zip(range(3), made.batches.epoch(0), strict=True):
            made.step(batch, step)
    assert reads.found == []


@pytest.mark.filterwarnings("ignore:CUDA is not available:UserWarning")
@pytest.mark.parametrize("method", METHODS)
def test_no_method_makes_a_step_wait_or_mixes_devices(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    walk(monkeypatch, [*IMAGES, *METHODS[method]], stream=method == "byol")


@pytest.mark.filterwarnings("ignore:CUDA is not available:UserWarning")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("style", STYLES)
def test_no_style_makes_a_step_wait_or_mixes_devices(monkeypatch: pytest.MonkeyPatch, style: str, method: str) -> None:
    walk(monkeypatch, [*IMAGES, *METHODS[method], f"views.style={style}"], steps=1)


@pytest.mark.parametrize("slip", [lambda x: x.item(), float, bool, lambda x: x.cpu(), lambda x: x + torch.ones(2)])
def test_a_slip_in_the_step_is_found(monkeypatch: pytest.MonkeyPatch, slip: object) -> None:
    given = Method.outputs

    def slipping(self: Method, network: torch.nn.Sequential, views_NCHW: Sequence[Tensor]) -> list[Tensor]:
        slip(views_NCHW[0].sum())  # type: ignore[operator]
        return given(self, network, views_NCHW)

    monkeypatch.setattr(Method, "outputs", slipping)
    with pytest.raises((HostRead, RuntimeError)), monkeypatch.context() as within:
        walk(within, VECTORS)


def test_a_read_in_the_optimiser_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = trainer(CPU, VECTORS)
    given: Updater = made.updates.step  # type: ignore[assignment]

    def slipping(iteration: int, loss: Tensor) -> None:
        float(loss)
        given(iteration, loss)  # type: ignore[operator]

    monkeypatch.setattr(made.updates, "step", slipping)
    with CountedReads() as reads:
        made.step(next(made.batches.epoch(0)), 0)
    assert len(reads.found) == 1


def test_a_copy_that_waits_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_cuda(monkeypatch) as host:
        host.walking = True
        torch.ones(2).pin_memory().to("cuda", non_blocking=True)
        with pytest.raises(HostRead, match="not pinned"):
            torch.ones(2).to("cuda")


@pytest.mark.filterwarnings("ignore:CUDA is not available:UserWarning")
def test_features_are_copied_and_computed_without_waiting_until_all_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    images, done = ImageSet(torch.zeros(10, 3, 12, 12, dtype=torch.uint8), torch.full((10,), -1)), list[Tensor]()
    with fake_cuda(monkeypatch) as host:
        made = trainer(CUDA, IMAGES)
        made.method.encoder.register_forward_hook(lambda _, __, h_ND: done.append(h_ND))
        host.walking = True
        with pytest.raises(HostRead, match="_local_scalar_dense"):  # whether they are finite, once
            extract(made.method.encoder, images, made.views.plain, device=CUDA, batch_size=4)
    assert len(done) == 3
