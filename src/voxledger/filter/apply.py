"""Run the rules over a proposal, in their order, and log what each decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voxledger.filter.decisions import Decision
from voxledger.filter.proposal import Component, Proposal, Verdict
from voxledger.filter.rule import Rule


def decide(proposal: Proposal, rules: Sequence[Rule], case_id: str) -> Iterator[tuple[Decision, Component]]:
    """Apply every rule to every class it names; changes the proposal, yields each decision and its component.

    A decision on a component is followed by one for each component inside it that went along. A rule first judges all
    components of a class, then its verdicts are carried out, so that no component is judged by what became of its
    neighbour.
    """
    for rule in rules:
        for name in rule.classes:
            for verdict in rule.judge(proposal, name):
                along = proposal.carry_out(name, verdict)
                for whose, told in ((name, verdict), *along):
                    yield _decision(proposal, rule, case_id, whose, told), told.component


def _decision(proposal: Proposal, rule: Rule, case_id: str, name: str, verdict: Verdict) -> Decision:
    component = verdict.component
    return Decision(
        case_id,
        name,
        rule.rule,
        component.number,
        component.voxels,
        component.voxels * proposal.grid.voxel_ml,
        component.peak_p,
        component.mean_hu,
        float(verdict.measured),
        verdict.bound,
        verdict.outcome,
    )


def apply_rules(proposal: Proposal, rules: Sequence[Rule], case_id: str) -> list[Decision]:
    """Apply every rule to every class it names; changes the proposal, returns the log."""
    return [decision for decision, _ in decide(proposal, rules, case_id)]
