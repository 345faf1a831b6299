"""What cohorts are worth, as a page."""

from __future__ import annotations

from html import escape

from voxledger.html import table
from voxledger.records.worth import Difference, Verdict, Worth, sentence
from voxledger.worth.arms import Arm
from voxledger.worth.verdict import WORST

_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}td,th{border-bottom:1px solid #ccc;padding:.3em .8em;text-align:left}"
)
_LEARNED = {
    Arm.PREDICTED: "all its cases, as models drew them where people did not",
    Arm.REVIEWED: "what people stand behind",
    Arm.REFERENCE: "its reference labels, the most that its images could be worth",
}


def page(worth: Worth) -> str:
    """HTML, complete in itself; its bytes repeat."""
    text = [
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>What cohorts are worth</title>'
        f"<style>{_STYLE}</style></head><body>\n<h1>What cohorts are worth</h1>",
        "<p>The models of <code>retrain.models</code>, trained from nothing with the same steps, on what the pool held "
        "when a round began: without the cohort, and with "
        + "; ".join(f"<em>{arm.value}</em>: {told}" for arm, told in _LEARNED.items())
        + ". Differences are to training without it, in Dice, with 95 % intervals over patients and seeds together, "
        "paired. The worst cases are the worst tenth. False alarms: empty references in which a training predicts "
        "something, on average, without the cohort and with it; they are in no difference.</p>",
    ]
    for cohort in dict.fromkeys(v.cohort for v in worth.verdicts):
        verdicts = [v for v in worth.verdicts if v.cohort == cohort]
        held = f"{verdicts[0].seeds} seeds, on what the pool held when round {verdicts[0].round} began"
        text.append(f"<h2>{escape(cohort)}</h2>\n<p>{held}.</p>\n<ul>")
        text += [f"<li>{escape(sentence(v))}</li>" for v in verdicts]
        text.append("</ul>")
        names = list(dict.fromkeys(name for v in verdicts for name in v.classes))
        rows = [
            [
                *(v.set_name, v.arm, _dice(v.mean), _delta(v.mean), _delta(v.worst)),
                *(_delta(v.classes[name]) if name in v.classes else "–" for name in names),
                _alarms(v),
                " ".join(f"{d:+.3f}" for d in v.by_seed),
            ]
            for v in verdicts
        ]
        header = ["Set", "With", "Dice", "Difference", f"Worst {WORST:.0%}", *names]
        header += ["False alarms", "Difference by seed"]
        text.append(table(header, rows))
    return "\n".join([*text, "</body></html>"]) + "\n"


def _alarms(verdict: Verdict) -> str:
    if not verdict.empty or verdict.false_alarms is None:
        return "–"
    before, after = verdict.false_alarms
    return f"{before:.1f} → {after:.1f} of {verdict.empty}"


def _dice(found: Difference) -> str:
    return "–" if found.dice is None else f"{found.dice:.3f}"


def _delta(found: Difference) -> str:
    if found.delta is None:
        return "–"
    return f"{found.delta:+.3f}" + ("" if found.low is None else f" ({found.low:+.3f} to {found.high:+.3f})")
