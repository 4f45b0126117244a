"""A run of several processes is the run of one: each has its part of every batch, and all end with the same weights."""

import os
import socket
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import warm
from torch import nn

from sslrun.data.images import ImageSet
from sslrun.evaluation import finetune as finetuning
from sslrun.evaluation.features import extract
from sslrun.methods import build_encoder
from sslrun.methods.simclr import nt_xent
from sslrun.networks import exchange
from sslrun.networks.group import ALONE, Group
from sslrun.recipe import read_recipe
from sslrun.recipe.schema import Udg
from sslrun.training.checkpoint import Position, load_checkpoint, save_checkpoint
from sslrun.training.optimizers import Updates
from sslrun.training.pretrain import assemble

BATCH, SIDE = 15, 12
pytestmark = pytest.mark.timeout(900)  # processes that wait for each other at every layer are slow where cores are busy
CPU = torch.device("cpu")
COMMON = [
    "network={backbone: {kind: small_resnet, width: 8}, projector: {hidden: 12, out: 6}}",
    f"training={{batch_size: {BATCH}, epochs: 10}}",
    "optimizer={network: {lr: 0.05, weight_decay: 0.001}}",
    f"views={{size: {SIDE}, crop: {{scale: [0.5, 1.0]}}, blur: {{kernel: 3}}}}",
]
VIT = "network={backbone: {kind: vit, patch: 4, width: 16, depth: 2, heads: 2}, projector: {hidden: 12, out: 6}}"
CASES = {
    "directpred": ["method={kind: byol, predictor: {kind: directpred}, ema: {kind: constant, momentum: 0.9}}"],
    "linear": ["method={kind: byol, predictor: {kind: linear}, ema: {kind: none}, symmetric: false}"],
    "simclr_bss": ["method={kind: simclr}", "views.style={kind: bss}"],
    "simclr_two_styles": ["method={kind: simclr}", "views.style={kind: bss, styles: 2}"],
    "simclr_fa_apart": ["method={kind: simclr, views: apart}", "views.style={kind: fa}", "data.stream=always"],
    "swav": [
        "method={kind: swav, prototypes: 7, freeze_prototypes: 2, queue: {length: 20, start_epoch: 0}}",
        "views.small={size: 8, count: 2}",
    ],
    "msn": [VIT, "method={kind: msn, prototypes: 7}", "views.small={size: 8, count: 1}"],
}


RUN = {  # processes: (case, float64)
    2: [*((case, case != "simclr_two_styles") for case in CASES), ("directpred", False)],
    3: [("directpred", True)],
}
STEPS = {("directpred", True): 20}  # of the others 3
HALF = 10


@cache
def trained(case: str, double: bool, group: Group, kept: Path | None = None) -> dict[str, torch.Tensor]:
    """The method's state after some steps on random images; after `HALF` of them saved in `kept`, or begun from it."""
    # In float32 a step's rounding grows with the rate: by 300 in 20 steps of these tiny networks at 0.05.
    recipe = read_recipe("quickstart", [*COMMON, *CASES[case], *([] if double else ["optimizer.network.lr=0.0001"])])
    pixels = torch.randint(0, 256, (90, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images = ImageSet(pixels, torch.full((90,), -1), None, (), ())
    trainer = assemble(recipe, build_encoder(recipe, 3), images, CPU, group)
    if double:
        trainer.method.double()
        trainer.updates = Updates(trainer.method, recipe.optimizer, trainer.updates.rates, CPU)
        plain, part = trainer.views.__call__, trainer.views.part
        trainer.views = _Double(trainer.views, plain, part)  # type: ignore[assignment]
    trainer.method.train()
    batches = [batch for epoch in range(10) for batch in trainer.batches.epoch(epoch)]
    begin = HALF if kept is not None and kept.exists() else 0
    if begin:
        load_checkpoint(kept, "", trainer.method, trainer.updates, CPU)
    for step in range(begin, STEPS.get((case, double), 3)):
        if step == HALF and begin == 0 and kept is not None and group.leads:
            save_checkpoint(kept, "", Position(step=step), trainer.method, trainer.updates)
        trainer.step(batches[step], step)
    return trainer.method.state_dict()


class _Double:
    def __init__(self, views: Any, whole: Any, part: Any) -> None:
        self.draw, self._whole, self._part = views.draw, whole, part

    def __call__(self, *given: Any) -> list[torch.Tensor]:
        return [view.double() for view in self._whole(*given)]

    def part(self, *given: Any) -> list[torch.Tensor]:
        return [view.double() for view in self._part(*given)]


def gradient(group: Group) -> tuple[torch.Tensor, torch.Tensor]:
    """NT-Xent of three views whose rows are gathered, and its gradient by this process' rows."""
    z_VND = torch.randn(3, BATCH, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    group.batch = BATCH
    part_VMD = z_VND[:, group.part()].clone().requires_grad_()
    loss = nt_xent(torch.stack([group.gather(part_MD) for part_MD in part_VMD]), 0.2)
    return loss.detach(), torch.autograd.grad(loss, part_VMD)[0]


class _Encoder(nn.Module):
    """A network in float64 for images in float32, with batch norm."""

    feature_dim = 6

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        for number, weight in enumerate(self.layers.parameters()):
            nn.init.normal_(weight, generator=torch.Generator().manual_seed(number))
        self.double()

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        return self.layers(x_NCHW.double()).flatten(1)  # type: ignore[no-any-return]


def judged(group: Group) -> dict[str, torch.Tensor]:
    """Features, of more batches than processes and of fewer; and the logits that each epoch of fine-tuning gives."""
    pixels = torch.randint(0, 256, (23, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(4), dtype=torch.uint8)
    images = ImageSet(pixels, torch.arange(23) % 3, None, ("a", "b", "c"), ())
    network, whole = _Encoder(), [1, 23]
    found = {
        f"features {count}": extract(
            network, images.subset(torch.arange(count)), lambda x: x / 255, device=CPU, batch_size=4, group=group
        )
        for count in whole
    }
    logits: list[torch.Tensor] = []
    head = finetuning._head

    def seen(*given: Any, **options: Any) -> torch.Tensor:
        logits.append(extract(*given, **options))
        return logits[-1]

    recipe = read_recipe("quickstart", COMMON)
    for size in (2, 7):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sslrun.evaluation.finetune.extract", seen)
            patch.setattr("sslrun.evaluation.finetune._head", lambda *given: head(*given).double())
            options = Udg(epochs=3, batch_size=size, least_steps=4)
            finetuning.finetune(network, images, images, images, recipe, options, CPU, group=group)
    return found | {f"logits {number}": value for number, value in enumerate(logits)}


def one_of_many(rank: int, size: int, port: int, folder: str, kept: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=size)
    exchange.BUCKET_BYTES = 2000  # several, of these tiny networks
    group = Group(rank, size)
    for case, double in RUN[size]:
        path = Path(kept) if (case, double) == ("directpred", True) else None
        torch.save(trained(case, double, group, path), Path(folder, f"{case}-{double}-{rank}.pt"))
    torch.save(gradient(group), Path(folder, f"gradient-{rank}.pt"))
    torch.save(judged(group), Path(folder, f"judged-{rank}.pt"))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The states at the end of all processes. What two of them save halfway, three go on from."""
    folder = tmp_path_factory.mktemp("processes")
    warm.get_ready()
    for size in RUN:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (folder / f"{size}").mkdir()
        given = (size, port, str(folder / f"{size}"), str(folder / "half.pt"))
        mp.start_processes(one_of_many, given, nprocs=size, start_method="fork")
    return folder


@pytest.mark.parametrize("size", RUN)
def test_the_gradient_of_gathered_outputs_is_that_of_one_process(size: int, folder: Path) -> None:
    loss, whole_VND = gradient(Group())
    found = [torch.load(folder / f"{size}" / f"gradient-{rank}.pt", weights_only=True) for rank in range(size)]
    for ours, _ in found:
        torch.testing.assert_close(ours, loss, atol=1e-12, rtol=0)
    torch.testing.assert_close(torch.cat([part for _, part in found], dim=1), whole_VND, atol=1e-12, rtol=0)


@pytest.mark.parametrize(("size", "case", "double"), [(size, *case) for size, cases in RUN.items() for case in cases])
def test_weights_are_those_of_one_process(size: int, case: str, double: bool, folder: Path) -> None:
    expected, tolerance = trained(case, double, ALONE), 1e-9 if double else 1e-5
    for rank in range(size):
        found = torch.load(folder / f"{size}" / f"{case}-{double}-{rank}.pt", weights_only=True)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, atol=tolerance, rtol=tolerance, msg=f"{rank} {name}")


def test_what_two_processes_have_begun_one_ends(folder: Path) -> None:
    """Three do too: that is what the three of `RUN` have done."""
    found = trained("directpred", True, ALONE, folder / "half.pt")
    for name, value in trained("directpred", True, ALONE).items():
        torch.testing.assert_close(found[name], value, atol=1e-9, rtol=1e-9, msg=name)


@pytest.mark.parametrize("size", RUN)
def test_features_are_the_same_bits_and_fine_tuning_is_that_of_one_process(size: int, folder: Path) -> None:
    expected = judged(ALONE)
    for rank in range(size):
        found = torch.load(folder / f"{size}" / f"judged-{rank}.pt", weights_only=True)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            tolerance = 0.0 if name.startswith("features") else 1e-6
            torch.testing.assert_close(found[name], value, atol=tolerance, rtol=tolerance, msg=f"{rank} {name}")
