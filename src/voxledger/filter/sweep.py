"""The rules over one class at every threshold together, the other classes at theirs.

The chain runs once, on a proposal without the class. A rule that names the class says of its nodes which ones stay; a
rule that names another class does to that class what it always does, and the nodes inside go along. That is exact as
long as no other class comes out differently for what the class is at some threshold. Where it may, `Unseen` says why,
and the filter itself has to be asked, threshold by threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from voxledger.filter.nodes import Nodes, nodes_of
from voxledger.filter.proposal import Component, Mask, Outcome, Proposal, Region, Verdict
from voxledger.filter.rule import Rule
from voxledger.imaging.boxes import Box
from voxledger.schema import LabelSchema


class Unseen(Exception):
    """What the class is at a threshold decides about more than its own nodes; the text says where."""


class Others(Proposal):
    """A copy of a proposal without one class, that notices when a rule looks at it."""

    def __init__(self, proposal: Proposal, name: str) -> None:
        vars(self).update(vars(proposal))
        self._regions = {n: Region(r.box, r.mask.copy()) for n, r in proposal._regions.items() if n != name}
        self._components = {n: dict(found) for n, found in proposal._components.items() if n != name}
        self.missing = name
        self.looked = False

    def judged(self, rule: Rule, name: str, stand_in: Region | None = None) -> list[Verdict]:
        """What a rule says of another class, with some voxels or none in the place of the missing class."""
        self.looked = False
        if stand_in is not None:
            self._regions[self.missing] = stand_in
        try:
            return rule.judge(self, name)
        finally:
            self._regions.pop(self.missing, None)
            self._components.pop(self.missing, None)

    def region(self, name: str) -> Region | None:
        self.looked |= name == self.missing
        return super().region(name)

    def mask(self, name: str, box: Box) -> Mask:
        self.looked |= name == self.missing
        return super().mask(name, box)

    def voxels(self, name: str) -> int:
        self.looked |= name == self.missing
        return super().voxels(name)

    def components(self, name: str) -> list[Component]:
        self.looked |= name == self.missing
        return super().components(name)

    def holes(self, name: str) -> list[Component]:
        self.looked |= name == self.missing
        return super().holes(name)

    @property
    def names(self) -> list[str]:
        self.looked = True
        return super().names


def sweep(proposal: Proposal, name: str, rules: Sequence[Rule], floor: float) -> Nodes | None:
    """What the rules leave of one class at every threshold from `floor` up; None where the models predict it nowhere
    above.

    Parameters
    ----------
    proposal
        The masks of all classes at their thresholds, before the first rule; it is not changed.
    rules
        As the filter runs them.

    Raises
    ------
    Unseen
        A rule, or what it does to other classes, depends on the class in a way that its nodes do not tell.
    """
    require_innermost(proposal.schema, name)
    others = Others(proposal, name)
    nodes = nodes_of(others, name, floor)
    if nodes is None:
        return None
    for rule in rules:
        for judged in rule.classes:
            nodes = _judge(rule, nodes, others) if judged == name else _judge_other(rule, judged, nodes, others)
    return nodes


def require_innermost(schema: LabelSchema, name: str) -> None:
    """Raise `Unseen` where a class lies inside this one."""
    inner = next((n for n in schema.names if name in schema.chain(n)[1:]), None)
    if inner is not None:
        raise Unseen(f"{inner} lies inside {name}")


def _judge(rule: Rule, nodes: Nodes, others: Others) -> Nodes:
    """The rule on the class itself."""
    others.looked = False
    kept = rule.kept(nodes) if _made_for(rule, "kept") else None
    if kept is None or others.looked:
        raise Unseen(f"{rule.rule} judges {nodes.name} at one threshold alone")
    lost = kept.length(nodes.tree.size) < nodes.spans.length(nodes.tree.size)
    if getattr(rule, "to", "") == "background":
        _require_apart(rule.rule, nodes, lost)
    return replace(nodes, spans=kept)


def _made_for(rule: Rule, attribute: str) -> bool:
    """Whether what a class of rules says of its `judge` is not that of a base class with another one."""
    attributes, judges = (next(c for c in type(rule).__mro__ if name in vars(c)) for name in (attribute, "judge"))
    return issubclass(attributes, judges)


def _require_apart(what: str, nodes: Nodes, lost: npt.NDArray[np.bool_]) -> None:
    """Raise `Unseen` where nodes that go to background share voxels with the classes around them, which lose those."""
    if not lost.any():
        return
    around = nodes.proposal.schema.chain(nodes.name)[1:]
    if (nodes.total(nodes.lies_in(*around))[lost] > 0).any():
        raise Unseen(f"{what} takes voxels of {nodes.name} out of {' and '.join(around)}")


def _judge_other(rule: Rule, judged: str, nodes: Nodes, others: Others) -> Nodes:
    """The rule on another class, and what the nodes inside do then."""
    verdicts = others.judged(rule, judged)
    if others.looked:
        again = others.judged(rule, judged, nodes.region()) if rule.monotone and _made_for(rule, "monotone") else []
        if [v.outcome for v in again] != [v.outcome for v in verdicts]:
            raise Unseen(f"{rule.rule} of {judged} looks at {nodes.name}")
    chain = others.schema.chain(nodes.name)
    for verdict in verdicts:
        if verdict.outcome is Outcome.REMOVED and judged not in chain:
            _require_no_claim(rule, judged, verdict.component, nodes)
        along = others.carry_out(judged, verdict)
        if judged in chain and verdict.outcome not in (Outcome.KEPT, Outcome.FILLED):
            gone = [verdict.component, *(v.component for n, v in along if n in chain)]
            nodes = _go_along(f"{rule.rule} of {judged}", nodes, verdict, gone, chain[1 : chain.index(judged) + 1])
    return nodes


def _require_no_claim(rule: Rule, judged: str, component: Component, nodes: Nodes) -> None:
    """Raise `Unseen` where a component takes voxels out of a class around both, but for those that this class has."""
    schema = nodes.proposal.schema
    shared = [n for n in schema.chain(judged)[1:] if n in schema.chain(nodes.name)]
    masks = [nodes.proposal.mask(n, component.box) for n in shared]
    claimed = nodes.region().read(component.box) & component.mask
    if any((claimed & mask).any() for mask in masks):
        raise Unseen(f"{rule.rule} removes what is {judged} and {nodes.name}")


def _go_along(what: str, nodes: Nodes, verdict: Verdict, gone: Sequence[Component], around: Sequence[str]) -> Nodes:
    """The nodes after a component around them went, as `Proposal.carry_out` takes what is inside."""
    taken = np.logical_or.reduce([Region(c.box, c.mask).read(nodes.box) for c in gone])
    met = nodes.total(nodes.at(taken)) > 0
    left = nodes.total(nodes.lies_in(*around)) > 0
    whole = met & ~left
    if not met[nodes.spans.node].any():
        return nodes
    if verdict.outcome is Outcome.TO_PARTNER:
        raise Unseen(f"{what} brings {nodes.name} to {verdict.partner}")
    kept = nodes.spans.where(~whole)
    lost = kept.length(nodes.tree.size) < nodes.spans.length(nodes.tree.size)
    if verdict.outcome is Outcome.REMOVED:
        _require_apart(what, nodes, lost)
    rest = replace(nodes, spans=kept)
    return rest.without(taken) if met[kept.node].any() else rest
