"""`container/`: two definitions, one script."""

from __future__ import annotations

import re
from pathlib import Path

from commands import run

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "container"


def test_both_definitions_copy_the_same_files_and_run_the_same_script() -> None:
    containerfile, definition = (FOLDER / "Containerfile").read_text(), (FOLDER / "voxledger.def").read_text()
    copied = {name for line in re.findall(r"^COPY (.*) \S+$", containerfile, re.MULTILINE) for name in line.split()}
    section = definition.split("%files\n")[1].split("\n\n")[0]
    assert (
        copied
        == {line.split()[0] for line in section.splitlines()}
        == {"constraints.txt", "container/setup.sh", "dist"}
    )
    assert all((ROOT / name).is_file() for name in copied - {"dist"})
    for text in (containerfile, definition):
        assert "debian:12-slim" in text
        assert re.search(r"EXTRAS=.* sh /opt/build/setup\.sh$", text, re.MULTILINE)
        assert "EXTRAS=models,dicom" in text
        assert "PATH=/opt/voxledger/bin:$PATH" in text
    run("sh", "-n", str(FOLDER / "setup.sh"))
