"""Everything that can be pressed has a name, and text stands out from what is behind it."""

from __future__ import annotations

from typing import Any

import pytest
from in_page import opened, pressed

NAMELESS = """() => {
  const named = (one) => {
    const by = (one.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id));
    const label = one.getAttribute("aria-label") ?? by.map((other) => other?.textContent ?? "").join("");
    return (label + (one.labels?.[0]?.textContent ?? "") + one.textContent).trim() !== "";
  };
  const kinds = "button, select, textarea, input, canvas[tabindex], dialog, fieldset, [role=radio], [role=radiogroup]";
  const all = document.querySelectorAll(kinds);
  return [...all].filter((one) => one.checkVisibility() && !named(one)).map((one) => one.outerHTML);
}"""
FAINT = """() => {
  const numbers = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number);
  const light = (color) => numbers(color).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if ((numbers(color)[3] ?? 1) === 1) return color;
    }
    return "rgb(255 255 255)";
  };
  const found = [];
  for (const one of document.body.querySelectorAll("*")) {
    const says = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!says || !one.checkVisibility() || one.matches(":disabled, script, style")) continue;
    const [a, b] = [light(getComputedStyle(one).color), light(behind(one))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(1)} ${one.outerHTML}`);
  }
  return found;
}"""
"""Contrast below that of level AA of WCAG 2.2."""


@pytest.mark.slow
def test_controls_have_names_and_text_has_contrast(repo: Any, page: Any) -> None:
    repo.export(("case_1", "liver", "alice"), ("case_1", "lesion", "alice"), ("case_2", "liver", "alice"))
    folder = repo.bundle("alice")
    page.goto((folder / "review.html").resolve().as_uri())
    assert (page.evaluate(NAMELESS), page.evaluate(FAINT)) == ([], [])
    opened(page, folder, "case_1 liver")
    pressed(page, ("a", "case_1 lesion"), ("x", "case_2 liver"), ("1", "case_2 liver"))
    page.keyboard.press("r")
    page.wait_for_selector("#case-findings li")
    assert (page.evaluate(NAMELESS), page.evaluate(FAINT)) == ([], [])
    for key, dialog in (("?", "#help-dialog"), ("s", "#result-dialog")):
        page.keyboard.press(key)
        page.wait_for_selector(f"{dialog}[open]")
        assert (page.evaluate(NAMELESS), page.evaluate(FAINT)) == ([], [])
        page.keyboard.press("Escape")


@pytest.mark.slow
def test_all_is_reached_without_a_mouse(repo: Any, page: Any) -> None:
    """Tab goes through every control of the page, and back to the first; focus is seen on each."""
    repo.export(("case_1", "liver", "alice"))
    opened(page, repo.bundle("alice"), "case_1 liver")
    wanted = page.evaluate(
        """() => [...document.querySelectorAll("#work button, #work select, #work input, #work textarea, #work canvas")]
          .filter((one) => one.checkVisibility() && !one.disabled).length"""
    )
    reached = set()
    for _ in range(2 * wanted):
        page.keyboard.press("Tab")
        one = page.evaluate(
            """() => {
              const {id, textContent, type} = document.activeElement;
              const {outlineStyle, outlineWidth} = getComputedStyle(document.activeElement);
              return [id || textContent, `${outlineStyle} ${outlineWidth}`];
            }"""
        )
        if page.evaluate("document.activeElement.matches('#work *')"):
            reached.add(one[0])
            assert one[1] == "solid 3px", one
    assert len(reached) == wanted
