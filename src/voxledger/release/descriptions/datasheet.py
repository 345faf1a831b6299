"""A datasheet for the dataset, with the parts of Gebru et al. (Communications of the ACM 64, 2021): `datasheet.md`."""

from __future__ import annotations

from voxledger import layout
from voxledger.release import narrative
from voxledger.release.facts import Facts


def describe(facts: Facts) -> dict[str, str]:
    """One page. What only people can say, and did not, stands there as a question.

    Examples
    --------
    >>> from voxledger.release.example import example_facts
    >>> print(describe(example_facts())["datasheet.md"])  # doctest: +ELLIPSIS
    # Datasheet of Abdomen of one hospital, v1.0.0
    <BLANKLINE>
    ## Motivation
    <BLANKLINE>
    * To show what a description is.
    * *Not said (dataset.yaml, `creators`): who made it, as it is cited?*
    ...
    """
    said = _Said(facts)
    parts = {
        "Motivation": [said("purpose"), said("creators"), said("funding")],
        "Composition": [
            facts.summary,
            f"{len(facts.cases)} cases: {narrative.splits(facts)}; splits never change between versions.",
            f"Classes: {', '.join(facts.schema.names)}.",
            *narrative.origins(facts),
            *narrative.limitations(facts),
            said("biases"),
            said("sensitive"),
        ],
        "Collection process": [*narrative.collection(facts), *map(said, ("collection", "consent", "ethics"))],
        "Preprocessing, cleaning, labelling": [
            "What looks like the identity of a patient is refused when a round is closed.",
            *narrative.protocol(facts),
            *narrative.annotators(facts),
            f"Per mask: {narrative.per_item(facts)}.",
            *narrative.agreement(facts),
            "Labels as readers returned them are kept beside those that were made of them.",
        ],
        "Uses": [said("uses"), said("not_for"), said("impact")],
        "Distribution": [*narrative.licences(facts), said("url")],
        "Maintenance": [said("maintenance"), said("contact"), "Every version stays as it is, under a tag of git."],
    }
    title = f"# Datasheet of {facts.name}, {facts.version}\n"
    return {"datasheet.md": title + "".join(narrative.part(name, lines) for name, lines in parts.items())}


class _Said:
    """What people said, or the question that nobody answered."""

    def __init__(self, facts: Facts) -> None:
        self._said, self._missing = facts.description, facts.description.missing()

    def __call__(self, name: str) -> str:
        if name in self._missing:
            return f"*Not said ({layout.DATASET_DESCRIPTION}, `{name}`): {self._missing[name]}*"
        if name == "creators":
            return "Made by " + "; ".join(
                f"{c.name} ({c.affiliation})" if c.affiliation else c.name for c in self._said.creators
            )
        if name == "collection":
            return ""
        return str(getattr(self._said, name))
