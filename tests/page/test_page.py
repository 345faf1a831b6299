"""The page in a real browser: from the file to what `review receive` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def open_bundle(page: Any, folder: Path) -> None:
    page.goto((folder / "review.html").resolve().as_uri())
    page.set_input_files("#choose-folder", str(folder))
    page.wait_for_selector("#work[data-shown]")


def test_smoke(repo: Any, page: Any) -> None:
    repo.export(("case_1", "liver", "alice"), ("case_1", "lesion", "alice"), ("case_2", "liver", "alice"))
    open_bundle(page, repo.bundle("alice"))
    page.screenshot(path="/tmp/s28/page/a.png")
    assert page.get_attribute("#work", "data-shown") == "case_1 liver"
    page.keyboard.press("a")
    page.wait_for_selector("#work[data-shown='case_1 lesion']")
    page.keyboard.press("a")
    page.wait_for_selector("#work[data-shown='case_2 liver']")
