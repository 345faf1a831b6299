"""With what a version was made: software, processor, and the settings that results can depend on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import voxledger
from voxledger.process import environment_here
from voxledger.software import MATHEMATICS, THREADS, cpu_features, lines_sha256, source_sha256


def environment() -> dict[str, Any]:
    """What this process runs on, as far as results can depend on it; settings that are not set are None."""
    import torch

    packages = sorted({f"{d.name}=={d.version}" for d in distributions()}, key=str.lower)
    return {
        "voxledger": _voxledger(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "os": platform.platform(),
        "cpu": {
            "model": _cpu_model(),
            "features": cpu_features(),
            "torch": torch.backends.cpu.get_cpu_capability(),
        },
        "gpu": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "threads": {
            **{name: os.environ.get(name) for name in THREADS},
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "torch": torch.get_num_threads(),
        },
        "mathematics": {
            **{name: os.environ.get(name) for name in MATHEMATICS},
            "torch_mkl": torch.backends.mkl.is_available(),
            "torch_onednn": torch.backends.mkldnn.is_available(),
        },
        "packages": {"sha256": lines_sha256(packages), "list": packages},
    }


def _voxledger() -> dict[str, Any]:
    package = Path(voxledger.__file__).parent
    checkout = package.parents[1]
    commit = changes = None
    # An installed package may lie in a git repository that is not its own.
    if (checkout / "pyproject.toml").is_file() and (checkout / ".git").exists():
        commit = _git(checkout, "rev-parse", "HEAD")
        changes = _git(checkout, "status", "--porcelain", "--", "src")
    return {
        "version": voxledger.__version__,
        "commit": commit,
        "uncommitted_changes": None if changes is None else bool(changes),
        "source_sha256": source_sha256(package),
    }


def _git(folder: Path, *args: str) -> str | None:
    try:
        command, here = ["git", *args], environment_here()
        done = subprocess.run(command, cwd=folder, env=here, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
