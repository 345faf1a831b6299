"""The page beside a real model: what is marked is asked, what is taken is drawn, and the return says so."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interactive import write_folder
from small_round import SCHEMA, Repo

from voxledger.imaging.volume import read_label
from voxledger.records.bundle import CLICKS
from voxledger.records.clicks import Clicked, Clicks, read_clicks
from voxledger.records.decisions import read_decisions
from voxledger.review.answers import from_runs
from voxledger.review.receive import receive
from voxledger.review.serve import Server

from .test_page import BUNDLES, INBOX, drawn, pressed

ASKED = [("case_1", "liver"), ("case_2", "liver"), ("case_2", "pancreas")]


@contextlib.contextmanager
def served(folder: Path, model: Path) -> Iterator[Server]:
    server = Server(folder, 0, model)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def beside(repo: Repo) -> Iterator[Server]:
    """What alice got, beside a tiny network in nnInteractive's own format."""
    repo.export(*[(*one, "alice") for one in ASKED])
    folder = Path("home") / repo.bundle("alice").name
    shutil.copytree(repo.bundle("alice"), folder)
    with served(folder, write_folder(Path("theirs"))) as server:
        yield server


def asked(page: Any, *points: tuple[float, float], plane: str = "axial") -> str:
    """Mark something, and wait for the answer; what the page says of it."""
    page.evaluate("document.getElementById('status').textContent = ''")
    drawn(page, *points, plane=plane)
    page.locator("#status", has_text="The model would").wait_for()
    return str(page.inner_text("#status"))


def answered(server: Server, before: np.ndarray, name: str, marks: list[Clicked]) -> np.ndarray:
    """The label map with what the model says of a class, where only it and the background may change."""
    told = [{"kind": one.kind, "voxels": [one.voxel, *one.others], "present": one.present} for one in marks]
    labels = np.array(before, np.uint16)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(labels.ravel().astype(int))) + 1])
    lengths = np.diff(np.append(starts, labels.size))
    flat = [int(v) for pair in zip(lengths, labels.ravel()[starts], strict=True) for v in pair]
    question = {"case_id": marks[0].case_id, "class_name": name, "labels": flat, "marks": told}
    assert server.answers is not None
    mask = from_runs(server.answers.answer(json.dumps(question).encode()), labels.shape, {0, 1}).astype(bool)
    number = SCHEMA[name].id
    free = np.isin(labels, [0, number])
    return np.where(free, np.where(mask, number, 0), labels)


@pytest.mark.slow
def test_what_the_model_suggests_is_taken_left_and_goes_back(repo: Repo, beside: Server, page: Any) -> None:
    folder = beside.folder
    sent = read_label(folder / "labels/case_1.nii.gz")
    page.goto(beside.address)
    page.wait_for_selector("#work[data-shown='case_1 liver']")
    # A click, which is left; then a box and a line that is not there, which are taken together.
    page.keyboard.press("q")
    page.wait_for_selector("#point[aria-checked=true]")
    first = asked(page, (0, 0))
    assert "Enter takes it" in first
    page.keyboard.press("a")
    page.locator("#status", has_text="First take what the model suggests").wait_for()
    page.evaluate("document.getElementById('status').textContent = ''")
    page.keyboard.press("A")
    page.locator("#status", has_text="First take what the model suggests").wait_for()
    assert "0 of 3" in page.inner_text("#progress-text")
    page.keyboard.press("Backspace")
    page.wait_for_selector("#leave[disabled]")
    assert page.is_disabled("#undo")
    pressed(page, ("q", "case_1 liver"))
    drawn(page, (0, 0), (40, 0))
    page.locator("#status", has_text="Drag a box").wait_for()
    asked(page, (-30, -30), (30, 30))
    page.keyboard.press("q")
    page.wait_for_selector("#scribble[aria-checked=true]")
    page.keyboard.down("Shift")
    both = asked(page, (-40, 0), (40, 10), plane="coronal")
    page.keyboard.up("Shift")
    assert both != first
    page.keyboard.press("Enter")
    page.wait_for_selector("#take[disabled]")
    page.wait_for_selector("#undo:not([disabled])")
    page.keyboard.press("Control+z")
    page.wait_for_selector("#restore[disabled]")
    page.keyboard.press("Control+y")
    page.wait_for_selector("#restore:not([disabled])")
    page.check("#confirmed")  # a network that has learnt nothing suggests crumbs
    pressed(page, ("r", "case_2 liver"), ("a", "case_2 pancreas"), ("a", "case_2 pancreas"), ("s", "case_2 pancreas"))
    page.wait_for_selector("#result-dialog[open]")
    page.click("#write-folder")
    page.locator("#result-done", has_text="clicks.json").wait_for()

    record = read_clicks(folder)
    assert record is not None
    assert (record.model, record.gate, record.cases) == (beside.answers.offer["id"], None, ("case_1",))
    assert [(c.kind, c.present, c.helped) for c in record.clicks] == [
        ("point", True, False),
        ("box", True, True),
        ("scribble", False, True),
    ]
    assert record.answered_by is not None
    assert record.answered_by.model_dump() == beside.answers.offer["answered_by"]
    assert record.answered_by.licence
    box, line = record.clicks[1:]
    assert box.voxel[0] == box.others[0][0]
    assert len({voxel[1] for voxel in (line.voxel, *line.others)}) == 1
    back = read_label(folder / "labels/case_1.nii.gz")
    assert np.array_equal(back, answered(beside, sent, "liver", [box, line]))
    assert (back != sent).any()

    found = receive(folder, BUNDLES, INBOX, repo.version)
    assert read_clicks(found.folder) == record
    assert read_decisions(found.folder / "decisions.csv").rows["case_1", "liver"].decision == "revise"
    repo.gate()
    repo.take_in()
    (kept,) = Path("data/release/revisions").glob(f"*/{CLICKS}")
    assert read_clicks(kept.parent) == record


@pytest.mark.slow
def test_clicks_go_on_after_a_restart_and_name_one_model(beside: Server, page: Any) -> None:
    """Another port is another page to a browser: what was clicked before stands in the folder."""
    folder = beside.folder
    record = Clicks(
        model="b" * 64,
        gate=None,
        cases=("case_2",),
        clicks=(Clicked(case_id="case_2", class_name="liver", voxel=(1, 2, 3), present=True, helped=True),),
    )
    for model, offered in (("b" * 64, False), (beside.answers.offer["id"], True)):
        text = json.dumps(record.model_copy(update={"model": model}).model_dump(mode="json"))
        (folder / CLICKS).write_text(text)
        page.goto("about:blank")
        page.goto(beside.address)
        page.evaluate("indexedDB.deleteDatabase('voxledger-review')")
        page.goto("about:blank")
        page.goto(beside.address)
        page.wait_for_selector("#work[data-shown='case_1 liver']")
        assert page.is_visible("#point") is offered
        assert ("answered by model bbbb" in page.inner_text("#notices")) is not offered
    page.keyboard.press("q")
    asked(page, (0, 0))
    page.keyboard.press("Backspace")
    page.keyboard.press("s")
    page.wait_for_selector("#result-dialog[open]")
    page.click("#write-folder")
    page.locator("#result-done", has_text="clicks.json").wait_for()
    found = read_clicks(folder)
    assert [(c.case_id, c.helped) for c in found.clicks] == [("case_1", False), ("case_2", True)]


@pytest.mark.slow
def test_an_answer_that_fails_is_said_and_the_page_goes_on(repo: Repo, chromium: Any) -> None:
    repo.export(("case_1", "liver", "alice"))
    folder = repo.bundle("alice")
    with served(folder, write_folder(Path("theirs"))) as server:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(server.address)
        page.wait_for_selector("#work[data-shown='case_1 liver']")
        image = (folder / "images/case_1.nii.gz").read_bytes()
        (folder / "images/case_1.nii.gz").write_bytes(image[:-1])
        page.keyboard.press("q")
        drawn(page, (0, 0))
        page.locator("#status", has_text="images/case_1.nii.gz is not as it was sent").wait_for()
        assert page.is_disabled("#take")
        (folder / "images/case_1.nii.gz").write_bytes(image)
        asked(page, (0, 0))
        # Another class is another question: what was open is left.
        page.keyboard.press("1")
        page.wait_for_selector("#take[disabled]")
        context.close()


@pytest.mark.slow
def test_firefox_asks_and_takes(beside: Server, firefox_page: Any) -> None:
    page, folder = firefox_page, beside.folder
    sent = read_label(folder / "labels/case_1.nii.gz")
    page.goto(beside.address)
    page.wait_for_selector("#work[data-shown='case_1 liver']")
    page.click("#scribble")
    page.check("#in-window")  # of a suggestion all is taken that is shown, whatever its grey values
    page.locator("#sagittal").hover()
    page.mouse.down(button="right")
    page.mouse.move(0, 0, steps=3)
    page.mouse.up(button="right")
    asked(page, (-20, 0), (20, 0))
    page.click("#take")
    page.wait_for_selector("#undo:not([disabled])")
    page.keyboard.press("s")
    page.wait_for_selector("#result-dialog[open]")
    page.click("#write-folder")
    page.locator("#result-done", has_text="clicks.json").wait_for()
    record = read_clicks(folder)
    assert [(c.kind, c.helped) for c in record.clicks] == [("scribble", True)]
    back = read_label(folder / "labels/case_1.nii.gz")
    assert np.array_equal(back, answered(beside, sent, "liver", list(record.clicks)))
    assert (back != sent).any()
