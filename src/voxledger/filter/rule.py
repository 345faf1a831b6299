"""What every rule is: validated parameters and one method that judges the components of a class."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from voxledger.filter.proposal import Component, Outcome, Proposal, Verdict
from voxledger.schema import LabelSchema

Destination = Literal["organ", "background"]
"""Where the voxels of a rejected component go."""


class Rule(BaseModel):
    """A rule of the filter. Its parameters are its fields, read from one entry of `filter.rules`.

    A subclass lives in a file of its own, in `voxledger/filter/rules/` or in another package (`voxledger.registry`);
    `params.yaml` names the file, and the class has the same name in camel case.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str
    classes: tuple[str, ...] = Field(min_length=1)
    """Classes that it judges, one after the other."""

    def check(self, schema: LabelSchema) -> None:
        """Raise `Misuse` where the parameters do not fit the schema; called before the first case."""

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        """Judge every component of a class, those that stay too; changes nothing."""
        raise NotImplementedError


class RemovalRule(Rule):
    """A rule that takes components away."""

    to: Destination = "organ"
    """`organ`: the voxels stay what the organ's own mask says; `background`: they are taken out of the organ too.
    A class that lies in no organ goes to background."""

    def verdict(
        self, proposal: Proposal, name: str, component: Component, measured: float, bound: str, keep: bool
    ) -> Verdict:
        """The verdict on one component: kept, or sent to where this rule sends voxels."""
        if keep:
            return Verdict(component, measured, bound, Outcome.KEPT)
        in_organ = self.to == "organ" and proposal.schema[name].inside is not None
        return Verdict(component, measured, bound, Outcome.TO_ORGAN if in_organ else Outcome.REMOVED)
