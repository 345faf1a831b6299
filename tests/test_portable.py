"""Pinning the instruction set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from voxledger.portable import PINNED

SHOW = """\
import sys
from voxledger.portable import pin_instruction_set
pin_instruction_set()
import os, numpy, torch
from numpy._core._multiarray_umath import __cpu_features__
print(sys.argv[1], torch.backends.cpu.get_cpu_capability(), __cpu_features__["X86_V3"], os.environ["MKL_CBWR"])
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="instruction sets of x86-64")
def test_a_process_starts_itself_anew_with_what_every_cpu_has(tmp_path: Path) -> None:
    script = tmp_path / "show.py"
    script.write_text(SHOW)
    environment = {k: v for k, v in os.environ.items() if k not in PINNED}
    said = subprocess.check_output([sys.executable, str(script), "given"], env=environment, text=True)
    assert said.split() == ["given", "DEFAULT", "False", "COMPATIBLE"]
