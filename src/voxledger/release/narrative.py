"""What is known of a release in sentences, for the descriptions that people read and those that ask for text."""

from __future__ import annotations

from collections import Counter

from voxledger.licences import KEPT, lost
from voxledger.params import UNSPECIFIED
from voxledger.records.ledger import Origin
from voxledger.release.facts import Facts
from voxledger.release.models_used import SERVED

_ORIGINS = {
    Origin.SOURCE: "came with the images",
    Origin.PREDICTED: "were predicted by models, and nobody looked at them",
    Origin.ACCEPTED: "were predicted by models and accepted by a reader",
    Origin.REVISED: "were revised by a reader",
    Origin.REJECTED: "were rejected by a reader and are not in the label maps",
}


def listed(items: object) -> str:
    """Items with commas between them, or that there are none."""
    return ", ".join(map(str, items)) or "none"  # type: ignore[call-overload]


def collection(facts: Facts) -> list[str]:
    """Where images came from."""
    sources = [f"{s.cases} {s.modality} volumes of {s.name}, licence {s.licence or UNSPECIFIED}" for s in facts.sources]
    patients = len({case.patient for case in facts.cases})
    said = [facts.description.collection] if facts.description.collection else []
    return [*said, f"Images: {'; '.join(sources)}; {patients} patients by their pseudonyms."]


def splits(facts: Facts) -> str:
    """How many cases are for what."""
    return listed(f"{n} {split}" for split, n in Counter(case.split.value for case in facts.cases).items())


def origins(facts: Facts) -> list[str]:
    """Where masks came from, by how many."""
    return [f"{facts.origins[o]} masks {_ORIGINS[o]}." for o in _ORIGINS if facts.origins[o]]


def protocol(facts: Facts) -> list[str]:
    """How masks were made."""
    readers, review = facts.params.export.readers, facts.params.review
    signed = sum(bool(entry.signatures) for entry in facts.ledger.values())
    weak = Counter(mark.kind for entry in facts.ledger.values() for mark in entry.weak)
    lines = [
        "Models propose masks; readers get them in bundles with the images and accept, revise or reject each class of "
        "each case; what they return is merged, and the ledger names the origin of every mask.",
        *origins(facts),
        f"Readers of a case: {readers.count}"
        + (
            f", of {readers.share:.0%} of the cases; {review.consensus} makes one of them."
            if readers.count > 1
            else "."
        ),
    ]
    if weak:
        marks = listed(f"{n} from {kind}" for kind, n in sorted(weak.items()))
        lines.append(f"Masks predicted from weak labels: {marks}.")
    lines.append(f"{signed} masks are in returns that their readers signed.")
    return lines


def annotators(facts: Facts) -> list[str]:
    """Who looked at masks, as far as `reviewers.yaml` says."""
    masks = Counter(name for names in facts.readers.values() for name in names)
    found = []
    for name in facts.people:
        known = facts.reviewers[name].told if name in facts.reviewers else ""
        who = "no person, but a program that emulates one" if name in facts.emulated else known or "not said who"
        found.append(f"{name} ({who}): {masks[name]} masks.")
    return found or ["Nobody looked at masks."]


def per_item(facts: Facts) -> str:
    """How many readers looked at a mask."""
    counts = Counter(len(names) for names in facts.readers.values())
    return listed(f"{n} masks by {readers} readers" for readers, n in sorted(counts.items()))


def agreement(facts: Facts) -> list[str]:
    """How far readers of the last round agreed, where several read one case."""
    found = facts.agreement
    if not found.get("cases"):
        return ["No case of this round was read by several readers: agreement was not measured."]
    alpha = _number(found["alpha"])
    lines = [
        f"{found['cases']} cases of this round were read by several readers. Of {found['masks']} masks "
        f"{found['decided_alike']} were decided alike; Krippendorff's alpha of decisions: {alpha}."
    ]
    for name, measured in dict(found["classes"]).items():  # type: ignore[call-overload]
        pairs = measured["readers"]
        lines.append(
            f"{name}: mean Dice of two readers {_number(pairs['dice'])}, lowest {_number(pairs['lowest_dice'])}, "
            f"{pairs['pairs']} pairs."
        )
    return lines


def _number(value: object) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def machines(facts: Facts) -> list[str]:
    """Models that proposed masks, or that those go on from."""
    return [f"{card.name} ({card.architecture or card.backend}), id {card.id}, {card.licence}" for card in facts.used]


def limitations(facts: Facts) -> list[str]:
    """What the ledger says about what the release does not hold, and what people said."""
    lines = [facts.description.limitations] if facts.description.limitations else []
    unseen = sum(not names for names in facts.readers.values())
    lines.append(f"No reader of this dataset looked at {unseen} of {len(facts.ledger)} masks.")
    absent = len(facts.cases) * len(facts.schema.names) - len(facts.ledger)
    if absent:
        lines.append(
            f"Of {absent} pairs of case and class the ledger has no mask: that the class is absent there is not said."
        )
    if facts.exported and (told := facts.not_closed()):
        lines.append(f"When this was exported, {told}.")
    if names := sorted(facts.emulated):
        lines.append(f"Readers that are programs, not people: {listed(names)}.")
    return lines


def licences(facts: Facts) -> list[str]:
    """Licences of the release, its sources and models, and what was settled about them."""
    lines = [f"The release: {facts.params.licence}."]
    lines += [f"Source {source.name}: {source.licence or UNSPECIFIED}." for source in facts.sources]
    lines += [
        f"Model {card.name} ({card.id[:12]}): {card.licence}{', as a return says' * (card.strategy == SERVED)}."
        for card in facts.used
    ]
    for one in facts.overrides:
        if one.declared == facts.params.licence:
            kept = listed(KEPT[letters] for letters in lost(one.licence, one.declared))
            name = facts.models[one.model_id].name if one.model_id in facts.models else one.model_id
            lines.append(
                f"{name} is under {one.licence}, which asks for {kept}; that the release is not was allowed by "
                f"{one.curator} on {one.date[:10]}: {one.reason}"
            )
    return lines


def part(title: str, lines: list[str]) -> str:
    """A part of a page: its title, and every line that says something."""
    said = [f"* {' '.join(line.split())}\n" for line in lines if line]
    return f"\n## {title}\n\n{''.join(said)}" if said else ""
