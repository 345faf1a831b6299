"""What `machine.portable` costs: the same trainings and predictions with and without the pinned instruction set.

    python benchmarks/portable.py [--repeats 3]

A MONAI U-Net of 32-64-128 features on one thread, 40×56×40 voxels: 10 iterations of training at batch 2, then 10
predictions. Both ways run in turn, each in a process of its own; CPU seconds, and their ratio, are the medians.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time

import click

from voxledger.portable import PINNED

PATCH = (40, 56, 40)
STEPS = 10


def work() -> dict[str, float]:
    """CPU seconds of training and prediction in this process."""
    import torch
    from monai.networks.nets import UNet

    from voxledger.models.process import seed_everything, single_thread

    with single_thread("cpu"):
        seed_everything(0)
        network = UNet(3, 1, 3, (32, 64, 128), (2, 2), num_res_units=2)
        optimizer = torch.optim.AdamW(network.parameters(), 1e-3, fused=True)
        images, labels = torch.randn(2, 1, *PATCH), torch.randint(0, 3, (2, *PATCH))
        seconds = {}
        for name in ("training", "prediction"):
            started = time.process_time()
            for _ in range(STEPS):
                if name == "training":
                    optimizer.zero_grad()
                    torch.nn.functional.cross_entropy(network(images), labels).backward()
                    optimizer.step()
                else:
                    with torch.no_grad():
                        network(images[:1])
            seconds[name] = time.process_time() - started
    return seconds


@click.command()
@click.option("--repeats", default=3, show_default=True)
@click.option("--child", is_flag=True, hidden=True)
def main(repeats: int, child: bool) -> None:
    """Print CPU seconds both ways, and the ratio."""
    if child:
        print(json.dumps(work()))
        return
    runs: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for _ in range(repeats):
        for pinned in (False, True):
            environment = {**os.environ, **(PINNED if pinned else {})}
            command = [sys.executable, __file__, "--child"]
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            runs[pinned].append(json.loads(done.stdout.splitlines()[-1]))
    for name in ("training", "prediction"):
        plain, portable = (statistics.median(r[name] for r in runs[p]) for p in (False, True))
        print(f"{name:11} {plain:6.2f} s, portable {portable:6.2f} s: {portable / plain:.2f} times")


if __name__ == "__main__":
    main()
