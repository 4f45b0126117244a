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

from sslrun.data.images import ImageSet
from sslrun.methods import build_encoder
from sslrun.methods.simclr import nt_xent
from sslrun.networks.group import ALONE, Group
from sslrun.recipe import read_recipe
from sslrun.training.optimizers import Updates
from sslrun.training.pretrain import assemble

BATCH, SIDE = 15, 12
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
    "simclr_fa_apart": ["method={kind: simclr, views: apart}", "views.style={kind: fa}"],
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


@cache
def trained(case: str, double: bool, group: Group) -> dict[str, torch.Tensor]:
    """The method's state after some steps on random images."""
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
    step = 0
    for epoch in range(10):
        for batch in trainer.batches.epoch(epoch):
            if step < (20 if case == "directpred" else 6):
                trainer.step(batch, step)
                step += 1
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


def one_of_many(rank: int, size: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=size)
    for case, double in RUN[size]:
        torch.save(trained(case, double, Group(rank, size)), Path(folder, f"{case}-{double}-{rank}.pt"))
    torch.save(gradient(Group(rank, size)), Path(folder, f"gradient-{rank}.pt"))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The states at the end of all processes."""
    folder = tmp_path_factory.mktemp("processes")
    for size in RUN:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (folder / f"{size}").mkdir()
        mp.spawn(one_of_many, (size, port, str(folder / f"{size}")), nprocs=size)
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
