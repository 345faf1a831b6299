"""`worth.json`: what cohorts were found to be worth, and the Dice that it was found from, one table an arm and seed."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from voxledger import layout
from voxledger.records.formats import Upgrade, upgraded
from voxledger.textfile import read_json, read_text, replace_text, table, unreadable, write_table


@dataclass(frozen=True)
class Judged:
    """How models of one arm and seed do on one class of a case."""

    set_name: str
    """`test`, or `external/` and the source."""
    case_id: str
    patient: str
    class_name: str
    reference_ml: float
    dice: float
    """NaN where neither the reference nor the models have a voxel; 0 where one of them has."""

    @property
    def is_false_alarm(self) -> bool:
        """Whether anything is predicted where the reference is empty."""
        return self.reference_ml == 0 and math.isfinite(self.dice)


_COLUMNS = [f.name for f in fields(Judged)]


def write_judged(path: Path, rows: Sequence[Judged]) -> None:
    """Write a table of Dice as CSV."""
    exact = ({**asdict(r), "reference_ml": repr(r.reference_ml), "dice": repr(r.dice)} for r in rows)
    write_table(path, _COLUMNS, exact)


def is_judged(path: Path) -> bool:
    """Whether a file is a table of Dice as it is written today."""
    return path.is_file() and path.read_text("utf-8").partition("\n")[0] == ",".join(_COLUMNS)


def read_judged(path: Path) -> list[Judged]:
    """Read a table of Dice.

    Raises
    ------
    VoxledgerError
        It is damaged.
    """
    with table(read_text(path), path, _COLUMNS) as rows:
        said = [(r, float(r["reference_ml"]), float(r["dice"])) for r in rows]
    return [Judged(r["set_name"], r["case_id"], r["patient"], r["class_name"], ml, dice) for r, ml, dice in said]


class Difference(BaseModel):
    """What an arm has more than training without the cohort, with a paired 95 % interval."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dice: float | None
    """Mean of the arm; None where nothing could be judged."""
    delta: float | None
    low: float | None
    high: float | None


Says = Literal["helps", "hurts", "cannot be said"]


class Verdict(BaseModel):
    """One arm on one set of cases."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cohort: str
    arm: str
    seeds: int
    """Trainings of the arm."""
    round: int
    """Round that was open, whose base labels were learned from."""
    set_name: str
    cases: int
    patients: int
    mean: Difference
    """Over cases for each class, then over classes."""
    worst: Difference
    """Mean of the worst tenth of the cases."""
    classes: dict[str, Difference]
    by_seed: list[float]
    """Difference of the means, seed by seed."""
    says: Says
    """By the interval of the mean."""
    empty: int | None
    """Pairs of class and case whose reference is empty; None where it was not counted."""
    false_alarms: tuple[float, float] | None
    """In how many of these anything is predicted, by a training without the cohort and by one of the arm: their means.
    Where one of the two rightly predicts nothing there is no Dice, so they are in no difference."""


def sentence(verdict: Verdict) -> str:
    """A verdict in words.

    Examples
    --------
    >>> nothing = Difference(dice=None, delta=None, low=None, high=None)
    >>> mean = Difference(dice=0.81, delta=0.031, low=0.012, high=0.05)
    >>> print(sentence(Verdict(cohort="b", arm="reviewed", seeds=3, round=0, set_name="external/c", cases=9, patients=8,
    ...     mean=mean, worst=nothing, classes={}, by_seed=[0.03, 0.03, 0.033], says="helps", empty=0,
    ...     false_alarms=(0, 0))))
    b, reviewed: helps on external/c (Dice +0.031, 95 % interval +0.012 to +0.050; 9 cases of 8 patients)

    What is not in the interval is said with it.

    >>> verdict = Verdict(cohort="b", arm="reviewed", seeds=1, round=0, set_name="test", cases=9, patients=9, mean=mean,
    ...     worst=nothing, classes={}, by_seed=[0.03], says="helps", empty=4, false_alarms=(1.0, 2.5))
    >>> sentence(verdict).partition("patients; ")[2]
    'false alarms in 4 empty references: 1.0 without, 2.5 with it)'
    """
    m, size = verdict.mean, f"{verdict.cases} cases of {verdict.patients} patients{_alarms(verdict)}"
    told = f"{verdict.cohort}, {verdict.arm}: {verdict.says} on {verdict.set_name} "
    if m.delta is None or m.low is None or m.high is None:
        return f"{told}(nothing to compare; {size})"
    return f"{told}(Dice {m.delta:+.3f}, 95 % interval {m.low:+.3f} to {m.high:+.3f}; {size})"


def _alarms(verdict: Verdict) -> str:
    if not verdict.empty or verdict.false_alarms is None:
        return ""
    before, after = verdict.false_alarms
    return f"; false alarms in {verdict.empty} empty references: {before:.1f} without, {after:.1f} with it"


def _with_alarms(worth: dict[str, Any]) -> dict[str, Any]:
    return {**worth, "verdicts": [{**v, "empty": None, "false_alarms": None} for v in worth["verdicts"]]}


def _each_of_its_round(worth: dict[str, Any]) -> dict[str, Any]:
    found = {name: worth[name] for name in ("seeds", "round")}
    others = {name: value for name, value in worth.items() if name not in found}
    return {**others, "verdicts": [{**v, **found} for v in worth["verdicts"]]}


UPGRADES: tuple[Upgrade, ...] = (_with_alarms, _each_of_its_round)
FORMAT = len(UPGRADES) + 1
"""Format 2 counts false alarms; 3 has verdicts of several rounds, each with its own."""


class Worth(BaseModel):
    """What was last found of every cohort, in the order of their names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    verdicts: list[Verdict]

    def of(self, cohorts: Collection[str]) -> Worth:
        """The same of some cohorts alone."""
        return Worth(verdicts=[v for v in self.verdicts if v.cohort in cohorts])


def joined(earlier: Worth | None, found: Sequence[Verdict]) -> Worth:
    """What is known once verdicts are found: those, and the earlier ones of other cohorts."""
    judged = {v.cohort for v in found}
    kept = [v for v in earlier.verdicts if v.cohort not in judged] if earlier is not None else []
    return Worth(verdicts=sorted([*kept, *found], key=lambda v: v.cohort))


def write_worth(path: Path, worth: Worth) -> None:
    """Write the record as JSON."""
    replace_text(path, json.dumps(worth.model_dump(mode="json"), indent=2) + "\n")


def read_worth(path: Path = layout.WORTH) -> Worth | None:
    """Read the record of any format; None where no cohort was ever judged.

    Raises
    ------
    Misuse
        It is of a newer format.
    VoxledgerError
        It is damaged.
    """
    if not path.is_file():
        return None
    values: dict[str, Any] = read_json(path, "verdicts")
    newer = f"update voxledger, or remove {path} and run `voxledger cohort worth` again for every cohort"
    try:
        return Worth.model_validate(upgraded(values, UPGRADES, str(path), newer))
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        raise unreadable(path, f"it does not say what cohorts are worth: {error}") from None
