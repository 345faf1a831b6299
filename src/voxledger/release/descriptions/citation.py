"""How the release is cited: `CITATION.cff`, version 1.2.0."""

from __future__ import annotations

from voxledger.licences import spdx_url
from voxledger.release.facts import Facts
from voxledger.textfile import to_yaml


def describe(facts: Facts) -> dict[str, str]:
    """One YAML file; where nobody says who made the dataset, its curators are cited.

    Examples
    --------
    >>> from voxledger.release.example import example_facts
    >>> describe(example_facts())["CITATION.cff"].splitlines()[3]
    'title: Abdomen of one hospital'
    """
    said, licence = facts.description, spdx_url(facts.params.licence)
    authors = [
        {"name": one.name} | ({"orcid": f"https://orcid.org/{one.orcid}"} if one.orcid else {}) for one in said.creators
    ]
    values = {
        "cff-version": "1.2.0",
        "type": "dataset",
        "message": "If you use this dataset, please cite it as below.",
        "title": facts.name,
        "abstract": facts.summary,
        "authors": authors or [{"name": name} for name in facts.authors],
        "version": facts.version.removeprefix("v"),
        "date-released": facts.date,
        "license": facts.params.licence if licence else "",
        "url": said.url,
    }
    return {"CITATION.cff": to_yaml({name: value for name, value in values.items() if value})}
