"""docs/tutorial.md, as it stands: every command is run, and says what the page shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tutorial_folder

from voxledger.cli.demo import set_parameters

PAGE = Path(__file__).parents[2] / "docs/tutorial.md"
BLOCK = re.compile(
    r'^```(?:console|yaml title="(?P<file>[^"]+)")\n(?P<text>.*?)^```$|^<!-- person: (?P<person>.*?) -->$', re.M | re.S
)
VARIES = re.compile(r"[0-9a-f]{12,64}|SHA256:\S+|-?\d+(?:[.,:]\d+)*")


def steps() -> Iterator[re.Match[str]]:
    """Blocks to type, files to edit, and what a person does, in their order."""
    yield from BLOCK.finditer(PAGE.read_text("utf-8"))


def said(command: str, shown: list[str]) -> None:
    """Run a command as the page types it; each shown line has to come, in that order; hashes and numbers may differ."""
    if command.startswith("cd "):
        os.chdir(shlex.split(command)[1])
        return
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    failed = any(line.startswith("error:") for line in shown)
    assert (done.returncode != 0) == failed, f"{command} → {done.returncode}\n{output}"
    lines = iter(VARIES.sub("#", output).splitlines())
    for line in shown:
        wanted = re.escape(VARIES.sub("#", line)).replace("…", ".*")
        assert any(re.fullmatch(wanted, one.rstrip()) for one in lines), f"{command}\nnot there: {line}\n{output}"


def typed(text: str) -> Iterator[tuple[str, list[str]]]:
    """Commands of a block, each with the lines that it shows."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, rest = re.sub(r"\\\n\s*", "", part).partition("\n")
        yield command, [line for line in rest.splitlines() if line.strip() not in ("", "…")]


def judged(page: Any, html: Path, bundle: Path, target: Path) -> None:
    """Ann opens the zip that she was sent, accepts each class that she is asked about, and saves."""
    page.goto(html.as_uri())
    page.set_input_files("#choose-zip", str(bundle))
    page.wait_for_selector("#work[data-shown]")
    asked = int(page.get_attribute("#progress", "max"))
    for done in range(asked):
        page.keyboard.press("a")
        page.wait_for_selector(f"#progress[value='{done + 1}']")
    page.keyboard.press("s")
    page.wait_for_selector("#result-dialog[open]")
    with page.expect_download() as download:
        page.click("#save-zip")
    download.value.save_as(target)


@pytest.mark.slow
def test_the_tutorial(shared_data: Path, page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tutorial_folder.make(shared_data / "hippocampus", tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.delenv(name)
    downloads = tmp_path / "home/Downloads"
    downloads.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")

    def ann_judges() -> None:
        bundle = max(Path().glob("bundle-*-ann.zip")).resolve()
        with zipfile.ZipFile(bundle) as archive:
            archive.extractall(tmp_path / "unpacked")
        judged(page, tmp_path / "unpacked" / bundle.stem / "review.html", bundle, downloads / bundle.name)

    people: dict[str, Callable[[], None]] = {"ann judges in the browser": ann_judges}
    for step in steps():
        if step["person"]:
            people[step["person"]]()
        elif step["file"] == "params.yaml":
            from ruamel.yaml import YAML

            set_parameters(YAML(typ="safe").load(step["text"]))
        elif step["file"]:
            Path(step["file"]).write_text(step["text"], "utf-8")
        else:
            for command, shown in typed(step["text"]):
                said(command, shown)
