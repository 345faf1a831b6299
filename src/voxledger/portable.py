"""Pinning the instruction set, for rounds that must repeat bit for bit on other kinds of CPU.

PyTorch, oneDNN, MKL, OpenBLAS, NumPy and the C library each choose, by what the CPU can do, among kernels that round
differently. `machine.portable` makes them all take the kernels that every x86-64 CPU has. It costs speed.
"""

from __future__ import annotations

import os
import sys

PINNED = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Nehalem",
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX,-FMA,-FMA4,-AVX512F",
}
"""Environment by which each library is told."""


def pin_instruction_set() -> None:
    """Start this process anew with the pinned environment, unless it has it: libraries read it when they are loaded."""
    if any(os.environ.get(name) != value for name, value in PINNED.items()):
        sys.stdout.flush()
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **PINNED})
