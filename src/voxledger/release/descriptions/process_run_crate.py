"""A Process Run Crate 0.5, which is an RO-Crate 1.1: `ro-crate-metadata.json`.

Its actions are the run of the round, and for every reader and round what they decided.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from voxledger import layout
from voxledger.licences import spdx_url
from voxledger.release.facts import Facts
from voxledger.release.times import run_of

_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_SOFTWARE = "https://pypi.org/project/voxledger/"
_CURATORS = "#curators"
_UNSAID = "#licence"
"""Of a licence that SPDX does not list."""


def describe(facts: Facts) -> dict[str, str]:
    """One JSON-LD file.

    Examples
    --------
    >>> from voxledger.release.example import example_facts
    >>> graph = json.loads(describe(example_facts())["ro-crate-metadata.json"])["@graph"]
    >>> [one["name"] for one in graph if one["@type"] in ("CreateAction", "Person")]
    ['ann', 'Round 1 of abdomen']
    """
    files = [facts.record(path) for path in (layout.RELEASE_LEDGER, layout.SCHEMA, layout.CASES)]
    files += [*facts.images, *facts.labels]
    data = [_file(one.name, one.sha256) for one in files]
    people, actions = _people(facts), [_run(facts), *_reviews(facts)]
    licence, url = spdx_url(facts.params.licence), {"url": facts.description.url} if facts.description.url else {}
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{facts.name}, {facts.version}",
        "description": facts.summary,
        "datePublished": facts.date,
        "license": {"@id": licence or _UNSAID},
        "author": {"@id": _CURATORS},
        "publisher": {"@id": _CURATORS},
        "conformsTo": {"@id": _PROFILE},
        "hasPart": _links(one["@id"] for one in data),
        "mentions": _links(one["@id"] for one in actions),
    }
    fixed = [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
            "about": {"@id": "./"},
        },
        root,
        {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        {
            "@id": _SOFTWARE,
            "@type": "SoftwareApplication",
            "name": "voxledger",
            "softwareVersion": facts.made_with,
            "url": _SOFTWARE,
        },
    ]
    fixed += [
        {"@id": licence or _UNSAID, "@type": "CreativeWork", "name": facts.params.licence, "description": "Licence"},
        {"@id": _CURATORS, "@type": "Organization", "name": ", ".join(facts.authors), **url},
    ]
    crate = {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": [*fixed, *data, *people, *actions]}
    return {"ro-crate-metadata.json": json.dumps(crate, indent=1, ensure_ascii=False) + "\n"}


def _file(name: str, sha256: str) -> dict[str, Any]:
    form = {"csv": "text/csv", "yaml": "application/yaml"}.get(name.rpartition(".")[2], "application/x-nifti")
    # RO-Crate 1.1 has no term for a hash.
    told = {"name": name, "encodingFormat": form, "identifier": f"sha256:{sha256}"}
    return {"@id": name, "@type": "File", **told}


def _run(facts: Facts) -> dict[str, Any]:
    """What the pipeline made of images and of what people returned."""
    ran = run_of(facts.params.round)
    made = [*facts.labels, facts.record(layout.RELEASE_LEDGER)]
    return {
        "@id": f"#round-{facts.params.round}",
        "@type": "CreateAction",
        "name": f"Round {facts.params.round} of {facts.params.dataset}",
        "description": "Models propose masks, people decide on them, and the ledger is written.",
        "endTime": str(ran["at"]) if ran else facts.date,
        "agent": {"@id": _CURATORS},
        "instrument": {"@id": _SOFTWARE},
        "object": _links(one.name for one in [*facts.images, facts.record(layout.CASES)]),
        "result": _links(one.name for one in made),
    }


def _reviews(facts: Facts) -> list[dict[str, Any]]:
    """What every reader decided in every round; of a program that emulates one, the curators are the agent."""
    said = Counter((one.version, one.reader, one.decision.value) for one in facts.readings)
    ledger = facts.record(layout.RELEASE_LEDGER).name
    found = []
    for number, reader in sorted({key[:2] for key in said}):
        decided = ", ".join(f"{n} {what}" for (v, who, what), n in sorted(said.items()) if (v, who) == (number, reader))
        emulated = ", by a program that emulates a reader" if reader in facts.emulated else ""
        found.append(
            {
                "@id": f"#review-{number}-{reader}",
                "@type": "CreateAction",
                "name": f"Review by {reader} in round {number}",
                "description": f"Decisions on masks{emulated}: {decided}.",
                "endTime": facts.date,
                "agent": {"@id": _CURATORS if emulated else f"#reader-{reader}"},
                "instrument": {"@id": _SOFTWARE},
                "object": {"@id": facts.record(layout.CASES).name},
                "result": {"@id": ledger},
            }
        )
    return found


def _people(facts: Facts) -> list[dict[str, Any]]:
    """Readers who are people."""
    found = []
    for name in sorted(set(facts.people) - facts.emulated):
        known = facts.reviewers[name].told if name in facts.reviewers else ""
        found.append({"@id": f"#reader-{name}", "@type": "Person", "name": name, "description": known or "reader"})
    return found


def _links(names: Iterable[str]) -> list[dict[str, str]] | dict[str, str]:
    """As RO-Crate wants it: several in a list, one by itself."""
    found = [{"@id": name} for name in names]
    return found[0] if len(found) == 1 else found
