"""Prompts from weak labels, one file a kind: `prompts(weak, grid)` is what an interactive network is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxledger.registry import PROMPTS

if TYPE_CHECKING:
    from voxledger.imaging.volume import Grid
    from voxledger.weak.label import WeakLabel
    from voxledger.weak.prompt import Prompt


def prompts_of(weak: WeakLabel, grid: Grid) -> list[Prompt]:
    """What an interactive network is told about the object of a weak label, in this order; at least one."""
    found: list[Prompt] = PROMPTS.get(weak.kind)(weak, grid)
    return found
