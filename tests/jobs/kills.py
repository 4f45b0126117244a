"""`python tests/jobs/kills.py SEED FOLDER`: a run of two processes is ended ten times by kill -9, and then goes on.
Its weights are compared with those of a run that nobody disturbed. By hand: it takes minutes. What came out:
results/measured/kills.md.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import torch
from safetensors.torch import load_file

CHANGES = [
    *("data.limit=256", "training={epochs: 40, batch_size: 64}", "optimizer.network.lr=0.005"),
    *("network.backbone.width=8", "run={threads: 1, checkpoint_minutes: 0, device: cpu}"),
    *("evaluation.linear=null", "evaluation.baselines=[]"),
]


def command(results: Path) -> list[str]:
    given = [part for change in CHANGES for part in ("--set", change)]
    return [
        *(sys.executable, "-m", "sslrun", "pretrain", "quickstart", "--devices", "2", "--results", str(results)),
        *given,
    ]


def rows(results: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in results.glob("*/history.jsonl"))


def kill(who: str, results: Path, draw: random.Random) -> str:
    """Start the command, kill one of its processes at a moment of its training; a row of the table."""
    before = rows(results)
    wanted = before + draw.randint(1, 3)
    launcher = subprocess.Popen(command(results), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while rows(results) < wanted and launcher.poll() is None:
        time.sleep(0.01)
    time.sleep(draw.random() * 0.3)
    ranks = {int(one.environ()["RANK"]): one for one in psutil.Process(launcher.pid).children()}
    rank = {"launcher": None, "rank 0": 0}.get(who, draw.randrange(2))
    begun = time.monotonic()
    os.kill(launcher.pid if rank is None else ranks[rank].pid, signal.SIGKILL)
    launcher.communicate()
    _, alive = psutil.wait_procs(list(ranks.values()), timeout=60)
    killed = "launcher" if rank is None else f"rank {rank}"
    seconds = time.monotonic() - begun
    return f"| {killed} | {before} → {rows(results)} | {launcher.returncode} | {seconds:.1f} | {len(alive)} |"


def main(seed: int, folder: Path) -> None:
    whole, disturbed = folder / "whole", folder / "disturbed"
    subprocess.run(command(whole), stdout=subprocess.DEVNULL, check=True)
    draw = random.Random(seed)
    whom = ["launcher"] * 3 + ["rank 0"] * 3 + ["a rank"] * 4
    draw.shuffle(whom)
    for who in whom:
        print(kill(who, disturbed, draw), flush=True)
    subprocess.run(command(disturbed), stdout=subprocess.DEVNULL, check=True)
    ours, theirs = (load_file(next(results.glob("*/encoder.safetensors"))) for results in (disturbed, whole))
    print("same bits:", all(torch.equal(ours[name], theirs[name]) for name in theirs))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
