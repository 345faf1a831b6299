"""Run the rules over a proposal, in their order, and log what each decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voxledger.filter.decisions import Decision
from voxledger.filter.proposal import Component, Proposal
from voxledger.filter.rule import Rule


def decide(proposal: Proposal, rules: Sequence[Rule], case_id: str) -> Iterator[tuple[Decision, Component]]:
    """Apply every rule to every class it names; changes the proposal, yields each decision and its component.

    A rule first judges all components of a class, then its verdicts are carried out, so that no component is judged
    by what became of its neighbour.
    """
    for rule in rules:
        for name in rule.classes:
            for verdict in rule.judge(proposal, name):
                proposal.carry_out(name, verdict)
                component = verdict.component
                decision = Decision(
                    case_id,
                    name,
                    rule.rule,
                    component.number,
                    component.voxels,
                    component.voxels * proposal.grid.voxel_ml,
                    component.peak_p,
                    component.mean_hu,
                    verdict.measured,
                    verdict.bound,
                    verdict.outcome,
                )
                yield decision, component


def apply_rules(proposal: Proposal, rules: Sequence[Rule], case_id: str) -> list[Decision]:
    """Apply every rule to every class it names; changes the proposal, returns the log."""
    return [decision for decision, _ in decide(proposal, rules, case_id)]
