"""The dataset card in Hugging Face's form: `README.md`."""

from __future__ import annotations

from voxledger.licences import hub_licence
from voxledger.records.ledger import Origin
from voxledger.release import narrative
from voxledger.release.facts import Facts
from voxledger.textfile import to_yaml

_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K"}


def describe(facts: Facts) -> dict[str, str]:
    """One page.

    Examples
    --------
    >>> from voxledger.release.example import example_facts
    >>> describe(example_facts())["README.md"].splitlines()[1:3]
    ['pretty_name: Abdomen of one hospital', 'license: cc-by-4.0']
    """
    said, cases = facts.description, len(facts.cases)
    header = {
        "pretty_name": facts.name,
        **hub_licence(facts.params.licence),
        "task_categories": ["image-segmentation"],
        "tags": ["medical", *sorted({case.modality for case in facts.cases})],
        "size_categories": [next((size for most, size in _SIZES.items() if cases < most), "100K<n<1M")],
        "annotations_creators": _creators(facts),
    }
    parts = {
        f"{facts.name}, {facts.version}": [facts.summary, said.purpose],
        "What is in it": [
            f"{cases} cases: {narrative.splits(facts)}.",
            *_files(facts),
            "`datasheet.md` answers what reviewers ask; `croissant.json` names every file with its SHA-256.",
        ],
        "Images": narrative.collection(facts),
        "How masks were made": narrative.protocol(facts),
        "Who looked": [*narrative.annotators(facts), f"Per mask: {narrative.per_item(facts)}."],
        "Agreement": narrative.agreement(facts),
        "Uses": [said.uses, said.not_for and f"Not for: {said.not_for}"],
        "Limitations": [*narrative.limitations(facts), said.biases],
        "Licences": narrative.licences(facts),
        "Not said": [f"{place}: {question}" for place, question in facts.missing().items()],
    }
    text = "".join(narrative.part(title, lines) for title, lines in parts.items())
    return {"README.md": f"---\n{to_yaml(header)}---\n{text.replace('## ', '# ', 1)}"}


def _creators(facts: Facts) -> list[str]:
    """Who made the masks, in the Hub's words; `found` came with the images."""
    made = {
        "expert-generated": bool(set(facts.people) - facts.emulated),
        "found": facts.origins[Origin.SOURCE] > 0,
        "machine-generated": facts.origins[Origin.PREDICTED] > 0 or bool(facts.emulated),
    }
    return [name for name, holds in made.items() if holds] or ["no-annotation"]


def _files(facts: Facts) -> list[str]:
    """Where to find what, as far as it is there."""
    rows = {"images": facts.images[:1], "label maps, whose numbers are the ids of classes": facts.labels[:1]}
    found = [f"{what}: `{files[0].name.rpartition('/')[0]}/`" for what, files in rows.items() if files]
    ids = ", ".join(f"{c.id} {c.name}" for c in facts.schema.classes)
    return [*found, f"classes: {ids}"]
