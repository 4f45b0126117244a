"""A network from outside the package: trained, judged again, loaded and exported by a process that never saw it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny import SMALL

pytest.importorskip("timm")

OWN = Path(__file__).parent / "own_network.py"
CHANGES = ["--set", "network.backbone={kind: timm, name: own_network, width: 64}"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _unknown_again() -> Iterator[None]:
    from timm.models import _registry

    yield
    for known in (_registry._model_entrypoints, _registry._model_to_module):
        known.pop("own_network", None)


def test_it_is_trained_judged_loaded_and_exported(written: Callable[[str, str], Path], sslrun: Run) -> None:
    written("own_network", OWN.read_text())
    given = ["quickstart", *(word for change in SMALL for word in ("--set", change))]
    code, out, err = sslrun("pretrain", *given, *CHANGES, "--import", "own_network")
    assert code == 0 and "own_network" in out, err
    (run,) = Path("results").glob("quickstart-*")
    look = f"""if True:
        import pathlib, torch, sslrun
        from sslrun.jobs.exporting import export
        from sslrun.runs.folder import RunFolder
        encoder = sslrun.load_encoder({str(run)!r})
        assert encoder(torch.zeros(2, 1, 16, 16)).shape == (2, 32)
        target, lines = export(RunFolder(pathlib.Path({str(run)!r})), "timm")
        exec(lines)
        assert torch.equal(model.state_dict()["norm.weight"], encoder.norm.weight)"""
    fresh = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True)
    assert fresh.returncode == 0, fresh.stderr


def test_without_its_module_it_is_no_network_of_timms_and_what_to_do_is_told(sslrun: Run) -> None:
    code, _, err = sslrun("pretrain", "quickstart", *CHANGES)
    assert code == 2 and "timm has no network of this name" in err
    assert "--import" in err
