"""Real browsers, where they are installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_round import repo, template

__all__ = ["repo", "template"]

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
WEBGL_OFF = ("--disable-gpu", "--no-sandbox")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium; `VOXLEDGER_CHROMIUM` may name another one than that of the system."""
    playwright = pytest.importorskip("playwright.sync_api")
    names = (os.environ.get("VOXLEDGER_CHROMIUM", ""), *CHROMIUM)
    path = next((found for name in names if name and (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium is installed here: the page is not tried")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=path, args=list(WEBGL_OFF))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any, tmp_path: Path) -> Iterator[Any]:
    """A tab with a profile of its own; an error in it, or a request to another machine, fails the test."""
    context = chromium.new_context(viewport={"width": 1400, "height": 900}, accept_downloads=True, locale="en-GB")
    tab = context.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    own = ("file:", "blob:", "data:", "http://127.0.0.1:")
    tab.on("request", lambda asked: errors.append(asked.url) if not asked.url.startswith(own) else None)
    yield tab
    context.close()
    assert errors == []
