"""What a process computes with, as far as results depend on it: voxledger, Python, packages, kind of processor."""

from __future__ import annotations

import hashlib
import importlib
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import voxledger

THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VOXLEDGER_WORKERS",
    "VOXLEDGER_DEVICE",
)
MATHEMATICS = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
)
"""Variables that choose the instructions of a library, and with them the last bits of its results."""

ABSENT = "not installed"
"""What stands for the version of a package that is not here."""


@dataclass(frozen=True)
class Software:
    """Of one process."""

    versions: dict[str, str]
    """Of Python, of what voxledger requires, and of voxledger with the hash of its source."""
    cpu: tuple[str, ...]
    """Instruction sets that numpy finds."""


def software() -> Software:
    """Of this process."""
    source = source_sha256(Path(voxledger.__file__).parent)
    own = {"voxledger": f"{voxledger.__version__} (source {source[:12]})", "Python": platform.python_version()}
    return Software(own | {name: _version(name) for name in _required()}, tuple(cpu_features()))


def source_sha256(package: Path) -> str:
    """One hash of all modules of a package."""
    files = {p.relative_to(package).as_posix(): p.read_bytes() for p in sorted(package.rglob("*.py"))}
    return lines_sha256([f"{name} {hashlib.sha256(content).hexdigest()}" for name, content in files.items()])


def cpu_features() -> list[str]:
    """The instruction sets that numpy finds."""
    for name in ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath"):  # numpy 2, numpy 1
        try:
            found = importlib.import_module(name).__cpu_features__
        except (ImportError, AttributeError):
            continue
        return sorted(feature for feature, there in found.items() if there)
    return []


def lines_sha256(lines: Sequence[str]) -> str:
    """SHA-256 of lines of text."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def _required() -> list[str]:
    try:
        listed = requires("voxledger") or []
    except PackageNotFoundError:
        return []
    ours = [line for line in listed if not re.search(r"extra == .(?!models)", line)]
    return [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in ours]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ABSENT
