"""The GPU and torch: what networks would compute on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voxledger import layout
from voxledger.doctor.check import Check, Finding, note, ok, wrong
from voxledger.params import read_params
from voxledger.repository import is_root

_DRIVER = Path("/proc/driver/nvidia/version")


def look() -> Iterator[Finding]:
    """Torch, every GPU with its memory, one computation on each, and whether `machine.device` can be had."""
    wanted = is_root() and read_params().machine.device == "cuda"
    import torch

    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            torch.ones(8, device=f"cuda:{i}").sum().item()
            free, size = torch.cuda.mem_get_info(i)
            name = torch.cuda.get_device_name(i)
            yield ok(f"torch {torch.__version__}, {name}: {free / 1e9:.0f} of {size / 1e9:.0f} GB free")
        return
    cpu = f"torch {torch.__version__} finds no GPU"
    if _DRIVER.exists() and torch.version.cuda is None:
        yield note(f"{cpu}: it was built without CUDA, and there is an NVIDIA driver", "install torch with CUDA")
    elif wanted:
        yield wrong(
            f"{cpu}, and {layout.PARAMS} says machine.device: cuda",
            f"`nvidia-smi` has to show one; or machine.device: cpu in {layout.PARAMS}",
        )
    else:
        yield ok(f"{cpu}: networks compute on the CPU")


CHECK = Check(look)
