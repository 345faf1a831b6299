"""What every rule is: validated parameters and one method that judges the components of a class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from voxledger.filter.proposal import Component, Outcome, Proposal, Verdict
from voxledger.schema import LabelSchema

if TYPE_CHECKING:
    from voxledger.filter.nodes import Nodes
    from voxledger.imaging.tree import Spans

Destination = Literal["organ", "background"]
"""Where the voxels of a rejected component go."""


class Rule(BaseModel):
    """A rule of the filter. Its parameters are its fields, read from one entry of `filter.rules`.

    A subclass lives in a file of its own, in `voxledger/filter/rules/` or in another package (`voxledger.registry`);
    `params.yaml` names the file, and the class has the same name in camel case.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str
    monotone: ClassVar[bool] = False
    """Whether more voxels of another class can only turn its verdicts one way: all to kept, or all from it."""

    classes: tuple[str, ...] = Field(min_length=1)
    """Classes that it judges, one after the other."""

    def check(self, schema: LabelSchema) -> None:
        """Raise `Misuse` where the parameters do not fit the schema; called before the first case."""

    def judge(self, proposal: Proposal, name: str) -> list[Verdict]:
        """Judge every component of a class, those that stay too; changes nothing."""
        raise NotImplementedError

    def kept(self, nodes: Nodes) -> Spans | None:
        """What `judge` would keep of the components of a class at every threshold; changes nothing.

        None, the default, where the rule can say that of one threshold alone: calibration then filters at some.
        """
        return None

    def needed(self, proposal: Proposal, name: str, component: Component, measured: float) -> float:
        """What a bound would have to allow for a component that was removed to stay; what was measured by default."""
        return measured

    def keeping(self, name: str, needed: Sequence[float]) -> str:
        """Parameters, as in `params.yaml`, with which all components that need this would have stayed.

        Empty where no bound does that. At least one is given.
        """
        return ""


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


def at_least(values: Sequence[float], digits: int) -> float:
    """The largest of some values, rounded up; never below it, be it by the rounding of a product.

    Examples
    --------
    >>> at_least([2.3, 2.4], 1), at_least([3 * 0.8], 1)
    (2.4, 2.5)
    """
    number = math.ceil(round(max(values) * 10.0**digits, 6))
    return (number + (number / 10.0**digits < max(values))) / 10.0**digits


def digits_of(value: float) -> str:
    """All digits of a number up to the seventh decimal, as YAML reads them.

    Examples
    --------
    >>> digits_of(1234563.2), digits_of(0.00008)
    ('1234563.2', '0.00008')
    """
    return f"{value:.7f}".rstrip("0").rstrip(".")


def at_most(values: Sequence[float], digits: int) -> float:
    """The smallest of some values, rounded down; never above it."""
    number = math.floor(round(min(values) * 10.0**digits, 6))
    return (number - (number / 10.0**digits > min(values))) / 10.0**digits
