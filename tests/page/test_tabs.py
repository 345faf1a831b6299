"""One bundle in two tabs: the second one waits until the first is closed, or has crashed."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from in_page import opened, pressed

EXPORTED = [("case_1", "liver", "alice"), ("case_2", "liver", "alice"), ("case_2", "pancreas", "alice")]


def refused(context: Any, folder: Any, said: str) -> Any:
    """Another tab, in which the bundle is not opened."""
    tab = context.new_page()
    tab.goto((folder / "review.html").resolve().as_uri())
    tab.set_input_files("#choose-folder", str(folder))
    tab.locator("#notices", has_text=said).wait_for()
    tab.wait_for_timeout(300)
    assert tab.is_visible("#start")
    assert tab.is_hidden("#work")
    return tab


@pytest.mark.slow
def test_the_second_tab_waits_and_goes_on_where_the_first_was_left(repo: Any, chromium: Any) -> None:
    repo.export(*EXPORTED)
    folder = repo.bundle("alice")
    context = chromium.new_context(locale="de-DE")
    opened(first := context.new_page(), folder, "case_1 liver")
    second = refused(context, folder, "in einem anderen Tab")
    pressed(first, ("a", "case_2 liver"))
    assert "Annehmen" in first.inner_text("#decide")
    first.click("header .language")
    assert "Accept" in first.inner_text("#decide")
    assert first.get_attribute("html", "lang") == "en"
    first.close()
    second.wait_for_selector("#work[data-shown='case_2 liver']")
    assert second.get_attribute("#progress", "value") == "1"
    assert second.inner_text("#notices") == ""
    pressed(second, ("a", "case_2 pancreas"))
    # A crash: nothing that the tab could do to let go of it.
    third = refused(context, folder, "in einem anderen Tab")
    with contextlib.suppress(Exception):
        second.goto("chrome://crash", timeout=5000)
    third.wait_for_selector("#work[data-shown='case_2 pancreas']")
    assert third.get_attribute("#progress", "value") == "2"
    context.close()


@pytest.mark.slow
def test_a_tab_that_waits_may_turn_to_another_bundle(repo: Any, chromium: Any) -> None:
    repo.export(("case_1", "liver", "alice"), ("case_2", "liver", "bob"))
    context = chromium.new_context(locale="en-GB")
    opened(first := context.new_page(), repo.bundle("alice"), "case_1 liver")
    second = refused(context, repo.bundle("alice"), "in another tab")
    second.set_input_files("#choose-folder", str(repo.bundle("bob")))
    second.wait_for_selector("#work[data-shown='case_2 liver']")
    first.close()
    second.wait_for_timeout(500)
    assert second.inner_text("#bundle-name") == "bundle-r01-bob"
    # Nobody has that of alice now.
    opened(context.new_page(), repo.bundle("alice"), "case_1 liver")
    context.close()


@pytest.mark.slow
def test_a_tab_that_could_not_go_on_opens_the_bundle_anew(repo: Any, chromium: Any) -> None:
    """A browser reads no file of a choice that was written since: what waited has to choose the folder again."""
    repo.export(*EXPORTED)
    folder = repo.bundle("alice")
    context = chromium.new_context(locale="en-GB")
    opened(first := context.new_page(), folder, "case_1 liver")
    second = refused(context, folder, "in another tab")
    table = folder / "decisions.csv"
    table.write_text(table.read_text() + "\n")
    first.close()
    second.locator("#notices", has_text="permission problems").wait_for()
    second.set_input_files("#choose-folder", str(folder))
    second.wait_for_selector("#work[data-shown='case_1 liver']")
    context.close()
