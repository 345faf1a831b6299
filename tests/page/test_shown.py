"""What the page shows beside image and proposal: weak labels, what readers said, expected quality; as text alone."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_page import drawn, opened, pressed, saved, taken
from small_round import GRID, SCHEMA

from voxledger.imaging.volume import file_sha256, read_label, write
from voxledger.params import ReviewParams
from voxledger.records.decisions import read_decisions
from voxledger.weak.geometry import lps_of

PICTURE = "[...document.querySelectorAll('canvas')].map((one) => one.toDataURL()).join()"
REDDISH = """() => {
  const canvas = document.getElementById("axial");
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let i = 0; i < data.length; i += 4) if (data[i] > data[i + 1] + 60) found++;
  return found;
}"""
"""Pixels in the colour of the liver, more or less; all else that is drawn is grey, blue or yellow."""


def altered(folder: Path, files: dict[str, bytes]) -> None:
    """Put files into a bundle, on its packing list; it is not made by voxledger any more."""
    manifest = json.loads((folder / "bundle.json").read_text())
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        manifest["files"][name] = {"sha256": file_sha256(folder / name), "bytes": len(content)}
    (folder / "bundle.json").write_text(json.dumps(manifest))


def marked(repo: Any, suffix: str) -> None:
    """A weak label for the liver of `case_2`: one slice of it, or a diameter."""
    path = Path(f"data/weak/case_2{suffix}")
    path.parent.mkdir(exist_ok=True)
    if suffix == ".json":
        ends = [[float(v) for v in p] for p in lps_of([[3, 3, 1], [3, 6, 6]], GRID)]
        length = float(np.linalg.norm(np.subtract(*ends)))
        mark = {"type": "recist", "class": "liver", "slice": 3, "points_lps_mm": ends, "long_diameter_mm": length}
        path.write_text(json.dumps({"format": 2, "case": "case_2", "source": "json", "marks": [mark]}))
    else:
        labels = np.zeros(GRID.shape, np.uint8)
        labels[3, 2:7, 2:6] = 1
        write(path, labels, GRID)
    repo.cases = [replace(c, weak_label=str(path)) if c.case_id == "case_2" else c for c in repo.cases]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".json", ".nii.gz"])
def test_what_was_marked_before_is_drawn_in_its_slice(repo: Any, page: Any, suffix: str) -> None:
    marked(repo, suffix)
    repo.export(("case_2", "liver", "alice"), ("case_3", "liver", "alice"))
    opened(page, repo.bundle("alice"), "case_2 liver")
    page.keyboard.press(" ")  # without the proposal, the colour of the class is that of the mark alone
    seen = {}
    for _ in range(9):
        page.keyboard.press("ArrowUp")
    for number in range(GRID.shape[0]):
        page.wait_for_timeout(120)
        seen[number] = page.evaluate(REDDISH)
        page.keyboard.press("ArrowDown")
    assert [number for number, pixels in seen.items() if pixels > 20] == [3]
    assert page.is_checked("#weak")
    for _ in range(6):
        page.keyboard.press("ArrowUp")
    page.wait_for_timeout(120)
    shown = page.evaluate(PICTURE)
    page.keyboard.press("l")
    page.wait_for_timeout(120)
    assert page.evaluate(PICTURE) != shown
    assert not page.is_checked("#weak")
    pressed(page, ("PageDown", "case_3 liver"))
    assert page.is_hidden("#weak-line")


@pytest.mark.slow
def test_it_opens_at_the_largest_place_with_the_grey_values_of_its_modality(
    repo: Any, page: Any, tmp_path: Path
) -> None:
    repo.export(("case_2", "liver", "alice"), ("case_3", "liver", "alice"))
    attention = np.zeros(GRID.shape, np.uint8)
    attention[2:4, 2:4, 2:4] = attention[6:9, 10:14, 10:14] = SCHEMA["liver"].id
    write(tmp_path / "attention.nii.gz", attention, GRID)
    folder = repo.bundle("alice")
    notes = {"format": 1, "cases": {"case_2": {"modality": "CT"}, "case_3": {"modality": "MR"}}}
    marks = (tmp_path / "attention.nii.gz").read_bytes()
    altered(folder, {"attention/case_2_attention.nii.gz": marks, "review.json": json.dumps(notes).encode()})
    opened(page, folder, "case_2 liver")
    voxel_ml = GRID.voxel_ml
    largest, other = (f"place {n} of 2, {v * voxel_ml:.2f} ml" for n, v in ((1, 48), (2, 8)))
    for key, said in (("", largest), ("n", other), ("n", largest), ("p", other)):
        if key:
            page.keyboard.press(key)
        page.locator("#place", has_text=said).wait_for()
    window = "document.getElementById('window').selectedOptions[0].textContent"
    assert page.evaluate(window) == "soft tissue"
    pressed(page, ("PageDown", "case_3 liver"))
    assert page.evaluate(window) == "usual"


@pytest.mark.slow
def test_expected_quality_is_said(repo: Any, page: Any) -> None:
    repo.export(("case_2", "liver", "alice"), ("case_2", "pancreas", "alice"))
    folder = repo.bundle("alice")
    notes = json.loads((folder / "review.json").read_text())
    said = {"predicted_dice": 0.871, "predicted_dice_low": 0.8, "predicted_dice_high": 0.93}
    notes["cases"]["case_2"]["classes"] = {"liver": said}
    altered(folder, {"review.json": json.dumps(notes).encode()})
    opened(page, folder, "case_2 liver")
    assert "expected Dice 0.87 (0.80 to 0.93)" in page.inner_text("#place")
    pressed(page, ("2", "case_2 pancreas"))
    assert "expected" not in page.inner_text("#place")


def disputed(repo: Any) -> Path:
    """Two readers draw the pancreas otherwise; gives the bundle of who settles it."""
    repo.export(*[("case_1", "pancreas", who) for who in ("alice", "bob")], readers=2)
    repo.context = replace(repo.context, review=ReviewParams(consensus="adjudicate", agreement=0.9, adjudicator="zoe"))
    shown = repo.shown("alice", "case_1")
    for who, rows in (("alice", slice(2, 5)), ("bob", slice(5, 8))):
        labels = shown.copy()
        labels[rows][labels[rows] == 2] = 0
        row = replace(repo.row("case_1", "pancreas", "revise"), confirmed=True, comment=f"as {who} sees it")
        repo.give_back(who, {"case_1": labels}, case_1={"pancreas": row})
    repo.adjudicate()
    return Path(repo.bundle("zoe"))


@pytest.mark.slow
def test_what_readers_said_is_shown_and_can_be_taken(repo: Any, page: Any, tmp_path: Path) -> None:
    folder = disputed(repo)
    opened(page, folder, "case_1 pancreas")
    said = page.inner_text("#readings")
    assert "Dice of two readers is 0." in said
    assert "alice: Revise · as alice sees it" in said
    assert page.is_disabled("#take-reading")
    nothing = page.evaluate(PICTURE)
    shown = []
    for _ in range(2):
        page.keyboard.press("d")
        page.wait_for_selector(f"#readings-list li:nth-child({len(shown) + 1}) [aria-pressed=true]")
        page.wait_for_timeout(150)
        shown.append(page.evaluate(PICTURE))
    assert len({nothing, *shown}) == 3
    page.click("#take-reading")
    page.wait_for_selector("#undo:not([disabled])")
    page.keyboard.press("d")
    page.wait_for_selector("#take-reading[disabled]")
    assert page.get_attribute("#revise", "aria-pressed") == "true"
    found = taken(saved(page, tmp_path / "return.zip"), repo)
    masks = [
        SCHEMA.mask(read_label(place), "pancreas")
        for place in (found.folder / "labels/case_1.nii.gz", folder / "readings/bob/case_1.nii.gz")
    ]
    assert np.array_equal(*masks)
    assert read_decisions(found.folder / "decisions.csv").rows["case_1", "pancreas"].decision == "revise"


@pytest.mark.slow
def test_a_reading_that_takes_long_is_not_shown_at_another_class(repo: Any, page: Any) -> None:
    opened(page, disputed(repo), "case_1 pancreas")
    page.select_option("#add-class", "liver")
    page.wait_for_selector("#work[data-shown='case_1 liver']")
    page.wait_for_timeout(300)
    nothing = page.evaluate(PICTURE)
    pressed(page, ("1", "case_1 pancreas"))
    page.evaluate(
        """() => {
          const digest = crypto.subtle.digest.bind(crypto.subtle);
          crypto.subtle.digest = async (...said) => {
            await new Promise((resolve) => setTimeout(resolve, 1500));
            document.body.dataset.read = "yes";
            return digest(...said);
          };
        }"""
    )
    page.keyboard.press("d")
    pressed(page, ("2", "case_1 liver"))
    assert page.get_attribute("body", "data-read") is None
    page.wait_for_selector("body[data-read]")
    page.wait_for_timeout(500)
    assert page.evaluate(PICTURE) == nothing


@pytest.mark.slow
def test_readers_see_nothing_of_readings(repo: Any, page: Any) -> None:
    repo.export(("case_1", "pancreas", "alice"))
    opened(page, repo.bundle("alice"), "case_1 pancreas")
    assert page.is_hidden("#readings")
    before = page.evaluate(PICTURE)
    page.keyboard.press("d")
    page.wait_for_timeout(150)
    assert page.evaluate(PICTURE) == before


EVIL = "<img src=x onerror=document.title='boom'>&<b>"


def evil(folder: Path) -> None:
    """A bundle in which every name and text is markup: case, class, reviewer, readers, comments, marks, files."""
    manifest = json.loads((folder / "bundle.json").read_text())
    sent = manifest["files"]
    for path, to in [(p, p.replace("case_2", EVIL)) for p in list(sent) if "case_2" in p]:
        (folder / path).rename(folder / to)
        sent[to] = sent.pop(path)
    manifest["asked"] = [{"case_id": EVIL, "class_name": EVIL}]
    manifest["voxels"] = {EVIL: 1}
    manifest["reviewer"] = manifest["dataset"] = EVIL
    manifest["label_schema"]["classes"][0]["name"] = EVIL
    (folder / "bundle.json").write_text(json.dumps(manifest))
    (folder / "decisions.csv").write_text(
        f"case_id,class_name,decision,minutes,comment,difficulty\n{EVIL},{EVIL},,3,{EVIL},{EVIL}\n"
    )
    point = [float(v) for v in lps_of([[3, 3, 3]], GRID)[0]]
    marks = {"format": 2, "marks": [{"type": "point", "class": EVIL, "point_lps_mm": point}, {"type": EVIL}]}
    notes = {"cases": {EVIL: {"modality": EVIL, "classes": {EVIL: {"predicted_dice": EVIL}}}}}
    readings = "case_id,class_name,why,reader,decision,error_type,comment\n"
    readings += f"{EVIL},{EVIL},{EVIL},{EVIL},{EVIL},{EVIL},{EVIL}\n{EVIL},{EVIL},x,{EVIL},revise,,\n"
    label = folder / f"labels/{EVIL}.nii.gz"
    more = {
        f"weak/{EVIL}.json": json.dumps(marks).encode(),
        "review.json": json.dumps(notes).encode(),
        "readings.csv": readings.encode(),
        f"readings/{EVIL}/{EVIL}.nii.gz": label.read_bytes(),
    }
    altered(folder, more)
    (folder / f"labels/{EVIL}.seg.nrrd").write_text("saved by another program")
    (folder / "return.json").write_text(json.dumps({"put": f"https://x/{EVIL}"}))


@pytest.mark.slow
def test_names_and_comments_that_are_markup_are_text(repo: Any, page: Any, tmp_path: Path) -> None:
    """Such a bundle is not made by voxledger; whoever makes one gets no further."""
    repo.export(("case_2", "liver", "alice"))
    folder = tmp_path / "evil"
    shutil.copytree(repo.bundle("alice"), folder)
    evil(folder)
    page.goto((folder / "review.html").resolve().as_uri())
    page.set_input_files("#choose-folder", str(folder))
    page.wait_for_selector("#work[data-shown]")
    assert page.locator("#weak-line").is_visible()
    page.keyboard.press("d")
    page.wait_for_selector("#readings-list [aria-pressed=true]")
    page.keyboard.press("b")
    drawn(page, (40, 40), (80, 40))
    page.keyboard.press("a")
    page.locator("#status", has_text="was changed").wait_for()
    page.wait_for_selector("#undo:not([disabled])")
    # Time is measured, and what `receive` would say is told, as in any other bundle.
    page.click("#confirmed")
    page.fill("#comment", EVIL)
    page.keyboard.press("Escape")
    for _ in range(2):
        page.locator("#axial").hover(position={"x": 50, "y": 50})
        page.wait_for_timeout(700)
        page.locator("#axial").hover(position={"x": 60, "y": 50})
    page.keyboard.press("u")
    page.wait_for_selector("#restore[disabled]")
    page.keyboard.press("r")
    page.keyboard.press("s")
    page.wait_for_selector("#result-dialog[open]")
    found = page.inner_text("#result-findings")
    assert f"Case {EVIL}, {EVIL}: the decision is revise, but nothing has changed." in found
    assert f"{EVIL}.seg.nrrd" in page.inner_text("#result-text")
    assert page.input_value("#comment") == EVIL
    assert page.inner_text("#class-head") == EVIL
    assert page.locator("img, b").count() == 0
    assert page.title() == "voxledger review"
    for language in ("Deutsch", "English"):
        page.keyboard.press("Escape")
        page.click(f"header .language:has-text('{language}')")
        assert page.locator("img, b").count() == 0
    page.keyboard.press("s")
    archive = zipfile.ZipFile(saved(page, tmp_path / "return.zip"))
    (table,) = [name for name in archive.namelist() if name.endswith("decisions.csv")]
    (tmp_path / "decisions.csv").write_bytes(archive.read(table))
    row = read_decisions(tmp_path / "decisions.csv").rows[EVIL, EVIL]
    assert (row.comment, row.difficulty, row.decision) == (EVIL, "", "revise")
    assert row.minutes is not None
    assert 3 < row.minutes < 4
