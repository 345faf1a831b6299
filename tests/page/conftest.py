"""Real browsers, where they are installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_cases import small
from small_round import repo, template

__all__ = ["repo", "small", "template"]

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FIREFOX = ("firefox-esr", "firefox")
OWN = ("file:", "blob:", "data:", "about:", "http://127.0.0.1:")
"""What the page may ask for."""
TIMEOUT_MS = 120_000
"""For one step, on a machine that is busy with other things."""


def _installed(variable: str, names: tuple[str, ...]) -> str:
    """Where a browser is installed; a variable of the environment may name another one."""
    path = next((found for n in (os.environ.get(variable, ""), *names) if n and (found := shutil.which(n))), None)
    if path is None:
        pytest.skip(f"none of {', '.join(names)} is installed here: the page is not tried in it")
    return path


@pytest.fixture(scope="module")
def browsers() -> Iterator[Any]:
    """Playwright; not longer than needed, since no other test of the process could run an event loop meanwhile."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page is not tried")
    with playwright.sync_playwright() as tools:
        yield tools


@pytest.fixture(scope="module")
def chromium(browsers: Any) -> Iterator[Any]:
    """A headless Chromium, that of the system or of `VOXLEDGER_CHROMIUM`."""
    path = _installed("VOXLEDGER_CHROMIUM", CHROMIUM)
    browser = browsers.chromium.launch(executable_path=path, args=["--disable-gpu", "--no-sandbox"])
    yield browser
    browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A tab of Chromium with a profile of its own."""
    yield from _tab(chromium, viewport={"width": 1400, "height": 900}, locale="en-GB")


@pytest.fixture
def firefox_page(browsers: Any, tmp_path: Path) -> Iterator[Any]:
    """A tab of Firefox, by WebDriver BiDi: no folder can be chosen so; downloads lie in `downloads` of `tmp_path`."""
    path = _installed("VOXLEDGER_FIREFOX", FIREFOX)
    downloads = str(tmp_path / "downloads")
    browser = browsers.firefox.launch(channel="moz-firefox", executable_path=path, downloads_path=downloads)
    yield from _tab(browser, viewport={"width": 1400, "height": 900})
    browser.close()


def _tab(browser: Any, **options: Any) -> Iterator[Any]:
    """A tab in which an error, or a request to another machine, fails the test."""
    context = browser.new_context(**options)
    context.set_default_timeout(TIMEOUT_MS)
    errors: list[str] = []
    context.on("page", lambda tab: tab.on("pageerror", lambda error: errors.append(str(error))))
    context.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    context.on("request", lambda asked: errors.append(asked.url) if not asked.url.startswith(OWN) else None)
    yield context.new_page()
    context.close()
    assert errors == []
