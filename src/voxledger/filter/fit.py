"""Derive bounds of `volume_ratio` and `mean_hu` from lesions that people stand behind.

The published bounds came from one hospital. Each rule measures the true lesions just as it measures candidates; the
bounds are quantiles of what it measured.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.filter.chain import read_rules
from voxledger.filter.proposal import Reference
from voxledger.filter.rules.mean_hu import MeanHu
from voxledger.filter.rules.volume_ratio import VolumeRatio
from voxledger.schema import LabelSchema
from voxledger.textfile import replace_text

FIELDS = {"volume_ratio": "percent", "mean_hu": "ranges"}
"""Rules that can be fitted, and the parameter that holds their bounds by class."""


@dataclass(frozen=True)
class Fit:
    """Fitted bound of one class in one entry of `filter.rules`."""

    entry: int
    """Position in `filter.rules`, from 0."""
    rule: str
    class_name: str
    cases: int
    lesions: int
    fitted: float | list[float] | None
    """None where there is no lesion to learn from."""
    current: float | list[float] | None
    """What `params.yaml` says, or the published default; None where there is neither."""
    outside: int
    """True lesions that the current bound removes."""


Measured = dict[tuple[int, str], dict[str, list[float]]]
"""(entry, class) → case → measured value of each lesion."""


def measure(
    references: Iterable[tuple[str, Sequence[str], Reference]], entries: Sequence[dict[str, Any]], schema: LabelSchema
) -> Measured:
    """Let the rules measure true lesions.

    Parameters
    ----------
    references
        Case, its trusted classes, and its label map as a proposal; consumed one at a time.
    entries
        `filter.rules`.
    """
    rules = {}
    for number, entry in enumerate(entries):
        field = FIELDS.get(str(entry.get("rule")))
        if field is not None:
            # Any bound will do to measure; a class may have none yet.
            anything: Any = 1e9 if field == "percent" else [-1e9, 1e9]
            filled = {**entry, field: dict.fromkeys(entry.get("classes", []), anything)}
            rules[number] = read_rules([filled], schema)[0]
    if not rules:
        raise Misuse(f"filter.rules in {layout.PARAMS} has no volume_ratio and no mean_hu", "add one of them first")
    measured: Measured = {(number, name): {} for number, rule in rules.items() for name in rule.classes}
    for case_id, known, reference in references:
        for number, rule in rules.items():
            if rule.rule == "mean_hu" and not reference.is_ct:
                continue
            for name in set(rule.classes) & set(known):
                values = [v.measured for v in rule.judge(reference, name)]
                measured[number, name][case_id] = [v for v in values if math.isfinite(v)]
    return measured


def fit(measured: Measured, entries: Sequence[dict[str, Any]], keep: float) -> list[Fit]:
    """Bounds that keep a share of the true lesions, rounded outwards to 0.1 percent and to whole HU."""
    fits = []
    for (number, name), by_case in sorted(measured.items()):
        entry = entries[number]
        values = np.array([v for found in by_case.values() for v in found])
        fitted: float | list[float] | None = None
        current: float | list[float] | None
        if entry["rule"] == "volume_ratio":
            bound = VolumeRatio.model_validate(entry).bound(name)
            current = bound
            if values.size:
                fitted = math.ceil(10 * float(np.quantile(values, keep))) / 10
            outside = int((values > bound).sum()) if bound is not None else 0
        else:
            span = MeanHu.model_validate(entry).bound(name)
            current = list(span) if span else None
            if values.size:
                low, high = np.quantile(values, [(1 - keep) / 2, (1 + keep) / 2])
                fitted = [float(math.floor(low)), float(math.ceil(high))]
            outside = int(((values < span[0]) | (values > span[1])).sum()) if span else 0
        cases = sum(bool(found) for found in by_case.values())
        fits.append(Fit(number, entry["rule"], name, cases, len(values), fitted, current, outside))
    return fits


def write_fits(path: Path, fits: Sequence[Fit]) -> int:
    """Write fitted bounds into `params.yaml`, comments kept; returns how many."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    values = yaml.load(path)
    written = 0
    for found in fits:
        if found.fitted is None:
            continue
        entry = values["filter"]["rules"][found.entry]
        field = FIELDS[found.rule]
        if field not in entry:
            entry[field] = CommentedMap()
            entry[field].fa.set_flow_style()
        bound: Any = found.fitted
        if isinstance(bound, list):
            bound = CommentedSeq([int(v) for v in bound])
            bound.fa.set_flow_style()
        entry[field][found.class_name] = bound
        written += 1
    stream = io.StringIO()
    yaml.dump(values, stream)
    replace_text(path, stream.getvalue())
    return written
