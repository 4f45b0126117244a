"""One byte changed anywhere in a checkpoint or an encoder: refused by name, nothing of it used, nothing changed."""

import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sslrun.errors import InputError, RunFailed
from sslrun.jobs.exporting import load_encoder
from sslrun.networks.weights import encoder_metadata, load_weights, save_encoder, write_archive
from sslrun.training.checkpoint import Position, load_checkpoint, save_checkpoint

PLACES = 500
CPU = torch.device("cpu")


class Optimizers:
    """One optimiser that has stepped once, as `sslrun.training.optimizers.Updates` keeps its own."""

    def __init__(self, network: nn.Module) -> None:
        self.optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        sum(p.sum() for p in network.parameters()).backward()  # type: ignore[union-attr]
        self.optimizer.step()

    def state_dict(self) -> list[dict[str, Any]]:
        return [self.optimizer.state_dict()]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        self.optimizer.load_state_dict(states[0])


def trained(seed: int) -> tuple[nn.Module, Optimizers]:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    return network, Optimizers(network)


def values(network: nn.Module, optimizers: Optimizers) -> list[Any]:
    buffers = [optimizers.optimizer.state[p]["momentum_buffer"] for p in network.parameters()]
    return [value.tolist() for value in [*network.state_dict().values(), *buffers]]


def changed(whole: bytes, places: int) -> list[bytes]:
    """Copies with one byte changed, at random places all over."""
    draw = random.Random(0)
    spots = [draw.randrange(len(whole)) for _ in range(places)]
    return [whole[:at] + bytes([whole[at] ^ draw.randint(1, 255)]) + whole[at + 1 :] for at in spots]


def test_a_checkpoint_with_a_changed_byte_is_never_used(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, "ab", Position(epoch=3, step=1), *trained(0))
    whole = path.read_bytes()
    network, optimizers = trained(1)
    before = values(network, optimizers)
    for damaged in (*changed(whole, PLACES), b"", whole[:-1], whole[: len(whole) // 2], b"\0" * len(whole)):
        path.write_bytes(damaged)
        with pytest.raises(RunFailed, match=r"checkpoint\.pt: this checkpoint can't be read.*\n.*--fresh"):
            load_checkpoint(path, "ab", network, optimizers, CPU)
        assert values(network, optimizers) == before
    path.write_bytes(whole)
    assert load_checkpoint(path, "ab", network, optimizers, CPU) == Position(epoch=3, step=1)
    assert values(network, optimizers) == values(*trained(0))
    assert torch.load(path, weights_only=True)["identity"] == "ab"  # and to torch it is what it was


def test_a_checkpoint_of_a_version_that_did_not_seal_is_judged_by_the_archives_own_checksums(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    network, optimizers = trained(0)
    state = {"method": network.state_dict(), "optimizers": optimizers.state_dict()}
    torch.save({"identity": "ab", "position": {"epoch": 2}, **state}, path)
    whole = path.read_bytes()
    network, optimizers = trained(1)
    assert load_checkpoint(path, "ab", network, optimizers, CPU).epoch == 2
    weights = network.state_dict()["0.weight"].numpy().tobytes()
    path.write_bytes(whole.replace(weights, weights[:-1] + bytes([weights[-1] ^ 1])))
    with pytest.raises(RunFailed, match="checksum"):
        load_checkpoint(path, "ab", network, optimizers, CPU)


def test_a_whole_checkpoint_of_another_network_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    save_checkpoint(path, "ab", Position(epoch=3), other, Optimizers(other))
    network, optimizers = trained(1)
    before = values(network, optimizers)
    with pytest.raises(RunFailed, match="optimizers"):
        load_checkpoint(path, "ab", network, optimizers, CPU)
    assert values(network, optimizers) == before


@pytest.mark.parametrize("part", ["0.weight", "1.running_mean"])
def test_a_checkpoint_that_lacks_a_part_or_has_another_thing_in_its_place_changes_nothing(
    part: str, tmp_path: Path
) -> None:
    """Whole files, as another version could have written them."""
    network, optimizers = trained(1)
    before, path = values(network, optimizers), tmp_path / "checkpoint.pt"
    lacking, listed = trained(0)[0].state_dict(), list(trained(0)[0].state_dict().values())
    del lacking[part]
    for method in (lacking, listed):
        state = {"identity": "ab", "position": asdict(Position()), "method": method}
        write_archive(path, state | {"optimizers": optimizers.state_dict()})
        with pytest.raises(RunFailed, match="method has other parts than this run has"):
            load_checkpoint(path, "ab", network, optimizers, CPU)
        assert values(network, optimizers) == before


@pytest.mark.parametrize("other", [torch.zeros(5), torch.zeros(4, dtype=torch.float64), 3.0], ids=str)
def test_a_checkpoint_with_a_tensor_of_another_shape_or_type_changes_nothing(other: Any, tmp_path: Path) -> None:
    network, optimizers = trained(1)
    before, path = values(network, optimizers), tmp_path / "checkpoint.pt"
    method = trained(0)[0].state_dict() | {"1.running_var": other}
    state = {"identity": "ab", "position": asdict(Position()), "method": method}
    write_archive(path, state | {"optimizers": optimizers.state_dict()})
    with pytest.raises(RunFailed, match=r"1\.running_var is another tensor than this run has"):
        load_checkpoint(path, "ab", network, optimizers, CPU)
    assert values(network, optimizers) == before


def refusals(path: Path, network: nn.Module) -> list[Callable[[], Any]]:
    return [lambda: load_weights(network, path), lambda: encoder_metadata(path), lambda: load_encoder(path)]


def test_an_encoder_with_a_changed_byte_is_never_used(tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    about = {"format": "sslrun 0.1.0", "architecture": "linear", "width": 4, "channels": 3}
    torch.manual_seed(0)
    encoder = nn.Linear(3, 4, bias=False)
    save_encoder(path, encoder, about)
    whole = path.read_bytes()
    save_encoder(path, encoder, about)
    assert path.read_bytes() == whole
    network = nn.Linear(3, 4, bias=False)
    before = network.weight.tolist()
    for damaged in (*changed(whole, PLACES), b"", whole[:-1], whole[: len(whole) // 2], b"\0" * len(whole)):
        path.write_bytes(damaged)
        for use in refusals(path, network):
            with pytest.raises(InputError, match=r"encoder\.safetensors: "):
                use()
        assert network.weight.tolist() == before
    path.write_bytes(whole)
    for use in refusals(path, network):
        use()
    assert network.weight.tolist() == encoder.weight.tolist()


def test_encoders_without_a_seal_are_read_as_before(tmp_path: Path) -> None:
    """Those of others, whatever stands in their metadata, and ours of versions that did not seal."""
    weight = torch.ones(4, 3)
    for metadata in (None, {"hash": "0" * 64}, {"sslrun": '{"format": "sslrun 0.1.0"}'}):
        save_file({"weight": weight}, tmp_path / "old.safetensors", metadata)
        network = nn.Linear(3, 4, bias=False)
        load_weights(network, tmp_path / "old.safetensors")
        assert network.weight.equal(weight)


class Runs:
    """What a file that is not data does when it is loaded."""

    def __reduce__(self) -> Any:
        return print, ("run",)


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_what_holds_more_than_tensors_is_refused_in_our_own_words(tmp_path: Path, name: str) -> None:
    torch.save({"weight": Runs()}, tmp_path / name)
    with pytest.raises(InputError) as refused:
        load_weights(nn.Linear(3, 4), tmp_path / name)
    assert name in str(refused.value)
    assert "weights_only" not in str(refused.value)
    assert name.endswith("safetensors") or "more than tensors" in str(refused.value)
