"""What a person does in the page, by keys and mouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxledger.review.receive import receive

BUNDLES, INBOX = Path("data/round/bundles"), Path("data/inbox")


def opened(page: Any, folder: Path, shown: str = "", zipped: Path | None = None) -> None:
    """Open the page of a folder from disk, and with it that folder or a zip of it."""
    page.goto((folder / "review.html").resolve().as_uri())
    if zipped is None:
        page.set_input_files("#choose-folder", str(folder))
    else:
        page.set_input_files("#choose-zip", str(zipped))
    page.wait_for_selector(f"#work[data-shown='{shown}']" if shown else "#work[data-shown]")


def pressed(page: Any, *steps: tuple[str, str]) -> None:
    """Press keys, and wait after each until a case and class are shown."""
    for key, shown in steps:
        page.keyboard.press(key)
        page.wait_for_selector(f"#work[data-shown='{shown}']")


def saved(page: Any, target: Path) -> Path:
    """What the page saves as a zip."""
    if not page.is_visible("#result-dialog"):
        page.keyboard.press("s")
    page.wait_for_selector("#result-dialog[open]")
    with page.expect_download() as download:
        page.click("#save-zip")
    download.value.save_as(target)
    return target


def drawn(page: Any, *points: tuple[float, float], plane: str = "axial", by: str = "mouse") -> None:
    """Drag over a plane, in pixels from its middle."""
    box = page.locator(f"#{plane}").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    (x, y), *rest = points
    page.mouse.move(middle[0] + x, middle[1] + y)
    page.mouse.down()
    for x, y in rest:
        page.mouse.move(middle[0] + x, middle[1] + y, steps=5)
    page.mouse.up()
    page.wait_for_timeout(100)


def taken(source: Path, repo: Any) -> Any:
    return receive(source, BUNDLES, INBOX, repo.version)
