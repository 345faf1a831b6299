"""The report of a round: one HTML file that needs nothing else, readable offline and on paper."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files

from voxledger.evaluate.case_metrics import Generation
from voxledger.evaluate.changes import ClassChange
from voxledger.evaluate.charts import class_chart, learning_curve, minutes_chart
from voxledger.evaluate.clicked import Clicking
from voxledger.evaluate.effort import Effort
from voxledger.evaluate.history import unbroken
from voxledger.evaluate.metric import averaged
from voxledger.evaluate.overlay import PREDICTION_COLOR, REFERENCE_COLOR
from voxledger.evaluate.summary import TEST, Gain, ModelSummary
from voxledger.evaluate.worst import Picture
from voxledger.html import data_url
from voxledger.minutes import assumptions
from voxledger.params import EvaluateParams
from voxledger.records.card import ENSEMBLE
from voxledger.records.decisions import Decided
from voxledger.records.history import HistoryRow, has_dice
from voxledger.records.ledger import Origin
from voxledger.records.readings import Reading
from voxledger.statistics import Interval

CHARTED_CLASSES = 30
"""Above this number of classes the chart shows the worst; the table has all."""
MINUS = "−"


@dataclass(frozen=True)
class Report:
    """All that the report of a round shows."""

    dataset: str
    round: int
    evaluate: EvaluateParams
    scratch_minutes: float
    summaries: Sequence[ModelSummary]
    gains: Sequence[Gain]
    history: Sequence[HistoryRow]
    effort: Effort
    clicking: Clicking | None
    """What virtual readers clicked in this round."""
    emulated_minutes: tuple[float, float]
    """Minutes of the round, and of all rounds as far as `layout.DRAWN` has them, that are those of emulated readers who
    draw: assumed."""
    changes: Sequence[ClassChange]
    decisions: Sequence[Decided | Reading]
    pool: int
    """Cases of the pool."""
    pictures: Sequence[Picture]
    unjudged: Sequence[str]
    """Cases of the test and external sets without a trusted reference label or without any prediction."""
    not_found: Mapping[str, Sequence[str]]
    """Organs that next models of a region did not find, by case."""
    sections: Sequence[str]
    """HTML fragments of other stages, each beginning with its own heading; put into the page as they are."""


def render(report: Report) -> str:
    """The report as HTML. Everything but `sections` is escaped; the page forbids itself scripts and the network."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "signed": signed, "interval": interval, "uri": data_url}
    template = environment.from_string(files("voxledger.evaluate").joinpath("report.html.j2").read_text("utf-8"))
    by_key = {(s.set_name, s.generation, s.model): s for s in report.summaries}
    sets = list(dict.fromkeys(s.set_name for s in report.summaries))
    # The model that the round is judged by: the ensemble, or the only one.
    shown = {
        name: _shown([s for s in report.summaries if s.set_name == name and s.generation is Generation.NEXT])
        for name in sets
    }
    pairs = {name: (by_key.get((name, Generation.BASE, s.model)), s) for name, s in shown.items() if s is not None}
    curves = {
        name: learning_curve(report.history, name)
        for name in sets
        if any(r.set == name and r.stage == "next" and has_dice(r) for r in report.history)
    }
    gain_of = {(g.set_name, g.model): g for g in report.gains}
    class_charts = {}
    for name, (_, after) in pairs.items():
        gained = gain_of.get((name, after.model))
        shared = gained.classes if gained else {}
        if charted := _charted(after):
            both = {c: shared[c].next if c in shared else i for c, i in charted.items()}
            class_charts[name] = class_chart({c: g.base for c, g in shared.items()}, both)
    return template.render(
        report=report,
        test=TEST,
        headline=next((g for g in report.gains if g.set_name == TEST and g.model == _name(shown.get(TEST))), None),
        sets=sets,
        pairs=pairs,
        gain_of=gain_of,
        broken=any(
            len(unbroken([r for r in report.history if (r.set, r.model, r.stage) == (*key, "next")])) > 1
            for key in {(r.set, r.model) for r in report.history}
        ),
        curves=curves,
        class_charts=class_charts,
        charted=CHARTED_CLASSES,
        minutes=minutes_chart(report.history) if report.effort.minutes_total else None,
        origins=[o.value for o in Origin],
        decisions=_tally([(d.decision, d.minutes) for d in report.decisions]),
        error_types=_tally([(d.error_type, d.minutes) for d in report.decisions if d.error_type]),
        difficulties=_tally([(d.difficulty, d.minutes) for d in report.decisions if d.difficulty]),
        reference_color=REFERENCE_COLOR,
        prediction_color=PREDICTION_COLOR,
        title=set_title,
        averaged=_columns(report.evaluate),
        assumptions=assumptions(report.evaluate.looking_minutes, report.scratch_minutes),
    )


def _columns(params: EvaluateParams) -> dict[str, tuple[str, str, Callable[[float], str]]]:
    """Heading, unit, and how a number is written, of every metric whose mean is shown, by name."""
    return {
        name: (
            metric.title.format_map(params.model_dump()),
            metric.unit,
            partial(signed if metric.signed else number, decimals=metric.decimals - 1),
        )
        for name, metric in averaged().items()
    }


def number(value: float, decimals: int = 3) -> str:
    """A number with fixed decimals and a true minus sign; a dash where there is none."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞"
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def signed(value: float, decimals: int = 3) -> str:
    """As `number`, with a plus sign before what grew."""
    return ("+" if math.isfinite(value) and round(value, decimals) > 0 else "") + number(value, decimals)


def interval(value: Interval, decimals: int = 3) -> str:
    """The two bounds of an interval; a dash where there is none."""
    if not math.isfinite(value.low):
        return "–"
    return f"{number(value.low, decimals)} to {number(value.high, decimals)}"


def set_title(name: str) -> str:
    """Heading of a set: the test split, or an external source by its name."""
    return "Test split" if name == TEST else f"External: {name.removeprefix('external/')}"


def _shown(summaries: Sequence[ModelSummary]) -> ModelSummary | None:
    ensemble = next((s for s in summaries if s.model == ENSEMBLE), None)
    return ensemble or next(iter(summaries), None)


def _name(summary: ModelSummary | None) -> str | None:
    return summary.model if summary else None


def _charted(summary: ModelSummary) -> dict[str, Interval]:
    finite = {name: i for name, i in summary.classes.items() if math.isfinite(i.mean)}
    worst = sorted(finite, key=lambda name: finite[name].mean)[:CHARTED_CLASSES]
    return {name: i for name, i in finite.items() if name in worst}


def _tally(items: Sequence[tuple[str, float | None]]) -> list[tuple[str, int, str]]:
    """Name, count and minutes, the most frequent first; where some give no minutes, what the others add up to."""
    counts = Counter(name for name, _ in items)
    return [
        (name, counts[name], _minutes([m for other, m in items if other == name]))
        for name in sorted(counts, key=lambda n: (-counts[n], n))
    ]


def _minutes(given: Sequence[float | None]) -> str:
    known = [m for m in given if m is not None]
    if not known:
        return "–"
    total = number(sum(known), 1)
    return total if len(known) == len(given) else f"≥ {total} ({len(known)} of {len(given)})"
