"""Completion in the shell: every command is listed, whether its module was loaded or not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from voxledger.cli.main import COMMANDS

COMPLETE = """
import sys
from voxledger.cli.main import cli
try: cli(prog_name="voxledger")
except SystemExit: pass
print([m for m in ("torch", "numpy", "SimpleITK", "pandas", "dvc", "pydantic") if m in sys.modules])
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["voxledger", ""], {f"plain,{name}" for name in COMMANDS}),
        (["voxledger", "rev"], {"plain,review"}),
        (["voxledger", "round", "o"], {"plain,open"}),
        (["voxledger", "trace", "--j"], {"plain,--json"}),
        (["voxledger", "cases", "add", "--split", "p"], {"plain,pool"}),
        (["voxledger", "review", "receive", "bundle"], {"file,bundle"}),
    ],
)
def test_every_command_completes_and_loads_nothing_heavy(words: list[str], expected: set[str]) -> None:
    environment = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", COMPLETE],
        env=os.environ | environment | {"_VOXLEDGER_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        check=True,
    )
    *completed, loaded = done.stdout.splitlines()
    assert expected == set(completed)
    assert loaded == "[]"


def test_bash_takes_the_script_that_the_page_says_to_make() -> None:
    typed = (
        'eval "$(_VOXLEDGER_COMPLETE=bash_source voxledger)"; '
        "COMP_WORDS=(voxledger round cl); COMP_CWORD=2; _voxledger_completion voxledger; echo ${COMPREPLY[*]}"
    )
    assert subprocess.run(["bash", "-c", typed], capture_output=True, text=True, check=True).stdout == "close\n"
