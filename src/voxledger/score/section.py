"""The score stage's section of the round's report: what is expected, and what people look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from voxledger.html import image, table
from voxledger.score.stopping import Outlook


def score_section(
    outlook: Outlook,
    curve: bytes,
    pictures: Sequence[tuple[str, str, bytes]],
    bias: Sequence[tuple[str, str, str, float]],
    not_found: Mapping[str, Sequence[str]],
    disagreeing: Mapping[str, Sequence[str]],
    attention: Mapping[str, Any] | None = None,
) -> str:
    """HTML of what was expected before people looked.

    Parameters
    ----------
    curve
        PNG of the attention by rank.
    pictures
        Case, caption and PNG of the first cases of the worklist.
    bias
        Class, model, other model or `ensemble`, mean Dice over the cases.
    not_found
        Organs that models of a region did not find, by case.
    disagreeing
        Classes that do not fit the weak label that they were predicted from, or are empty after the filter, by case.
    attention
        Where learned attention was asked for, what stands for it, see `voxledger.score.learned.described`.
    """
    verdict = "stop" if outlook.stop else "continue"
    text = [
        "<h2>Attention before the review</h2>",
        f"<p>{outlook.open_cases} cases have a class that nobody stands behind; their attention adds up to "
        f"{outlook.attention_ml:.1f} ml. {outlook.above_knee} of them lie above the knee of the curve. "
        f"<strong>{verdict.capitalize()}</strong>: {escape(outlook.why)}.</p>",
    ]
    if outlook.expected_revisions is not None:
        expected = outlook.expected_revisions
        text.append(
            f"<p>Of the {outlook.chosen} cases chosen now, {expected.estimate:.1f} are expected to need revision "
            f"(95 % interval {expected.low:.0f} to {expected.high:.0f}).</p>"
        )
    text += [f"<p>{escape(where_from(attention))}</p>"] if attention is not None else []
    if not_found:
        text.append(
            f"<p><strong>Organ not found</strong> in {len(not_found)} cases, so that the models of a region looked at "
            f"nothing there: {_listed(not_found)}. Cases of the pool come first on the worklist.</p>"
        )
    if disagreeing:
        text.append(
            f"<p><strong>Weak label disagrees</strong> with what was predicted from it, or rules left nothing of that, "
            f"in {len(disagreeing)} cases, which come before others on the worklist: {_listed(disagreeing)}.</p>"
        )
    text.append(image(curve, "attention in ml, cases sorted", "png"))
    if pictures:
        text.append("<h3>Top of the worklist: image, label, attention</h3>")
        for case_id, caption, png in pictures:
            shown, said = image(png, case_id, "png"), f"{escape(case_id)}: {escape(caption)}"
            text.append(f"<figure>{shown}<figcaption>{said}</figcaption></figure>")
    if bias:
        text.append("<h3>Label bias: mean Dice of each pair</h3>")
        text.append(table(["Class", "Model", "Other", "Dice"], [[c, a, b, f"{d:.3f}"] for c, a, b, d in bias]))
    return "\n".join(text) + "\n"


def where_from(attention: Mapping[str, Any]) -> str:
    """Where attention is from where it was to be learned, in a sentence or two."""
    if "model" not in attention:
        return f"Attention is that of the published criteria, for it cannot be learned yet: {attention['why']}."
    reached, missed = 100 * attention["from_probability"], 100 * attention["miss"]
    return (
        f"Attention is learned: model {attention['model'][:12]}, from {attention['cases']} cases. It is regions in "
        f"which the probability of an error reaches {reached:.1f} %, which is expected to miss at most {missed:g} % "
        f"of the errors of a patient with errors; {attention['audited']} patients with errors, of the newest audits "
        "that are enough, set that."
    )


def _listed(classes: Mapping[str, Sequence[str]]) -> str:
    """Cases, each with its classes."""
    return "; ".join(f"{escape(case_id)} ({escape(', '.join(names))})" for case_id, names in classes.items())
