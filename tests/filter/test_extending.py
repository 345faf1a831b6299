"""The rule that docs/extending.md adds, taken from the page as it stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from voxledger.filter import rules
from voxledger.filter.apply import apply_rules
from voxledger.filter.chain import read_rules
from voxledger.filter.proposal import Proposal
from voxledger.params import Params
from voxledger.registry import RULES
from voxledger.schema import LabelSchema

PAGE = Path(__file__).parents[2] / "docs/extending.md"


def block(language: str, containing: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return next(text for text in found if containing in text)


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sphericity.py").write_text(block("python", "class Sphericity"), "utf-8")
    monkeypatch.setattr(rules, "__path__", [*rules.__path__, str(tmp_path)])


def test_one_file_and_one_line_are_a_rule(added: None, propose: Callable[..., Proposal], schema: LabelSchema) -> None:
    assert "sphericity" in RULES.names()
    line = Params.model_validate(YAML(typ="safe", pure=True).load(block("yaml", "sphericity"))).filter.rules[1]
    line = {**line, "classes": ["pdac"]}
    cube = (slice(2, 6), slice(2, 6), slice(2, 6), 0.9)
    thread = [(8, 8 + i % 2, i, 0.9) for i in range(1, 30)]
    proposal = propose({"pancreas": [(slice(0, 12),) * 3 + (0.9,)], "pdac": [cube, *thread]})
    decisions = apply_rules(proposal, read_rules([line], schema), "case-1")
    assert [(d.component, d.outcome.value) for d in decisions] == [(1, "kept"), (2, "to_organ")]
    assert decisions[0].measured == pytest.approx(np.cbrt(np.pi / 6))


def test_published_chain_of_the_page_is_the_default(schema: LabelSchema) -> None:
    params = Params.model_validate(YAML(typ="safe", pure=True).load(block("yaml", "touching")))
    entries = [{**e, "classes": [c for c in e["classes"] if c != "pnet"]} for e in params.filter.rules]
    assert [r.rule for r in read_rules(entries, schema)] == ["inside_organ", "volume_ratio", "touching", "mean_hu"]
    assert params.calibrate.sensitivity == 0.99


def test_every_rule_is_on_the_page() -> None:
    for name in RULES.names():
        assert f"| `{name}` |" in PAGE.read_text("utf-8")
