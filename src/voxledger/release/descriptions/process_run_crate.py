"""A Process Run Crate 0.5, which is an RO-Crate 1.1: `ro-crate-metadata.json`.

Its actions are the run of the round, and for every reader and round what they decided.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from voxledger import __version__, layout
from voxledger.licences import spdx_url
from voxledger.release.facts import Facts

_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_REPOSITORY = "https://pypi.org/project/voxledger/"
_SOFTWARE = "#voxledger"


def describe(facts: Facts) -> dict[str, str]:
    """One JSON-LD file."""
    files = [facts.record(path) for path in (layout.RELEASE_LEDGER, layout.SCHEMA, layout.CASES)]
    files += [*facts.images, *facts.labels]
    data = [_file(one.name, one.sha256) for one in files]
    people, actions = _people(facts), [_run(facts), *_reviews(facts)]
    licence = spdx_url(facts.params.licence)
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{facts.name}, {facts.version}",
        "description": facts.summary,
        "datePublished": facts.date,
        "license": {"@id": licence} if licence else facts.params.licence,
        "conformsTo": {"@id": _PROFILE},
        "hasPart": [{"@id": one["@id"]} for one in data],
        "mentions": [{"@id": one["@id"]} for one in actions],
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
            "softwareVersion": __version__,
            "url": {"@id": _REPOSITORY},
        },
    ]
    if licence:
        fixed.append({"@id": licence, "@type": "CreativeWork", "name": facts.params.licence, "description": "Licence"})
    crate = {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": [*fixed, *data, *people, *actions]}
    return {"ro-crate-metadata.json": json.dumps(crate, indent=1, ensure_ascii=False) + "\n"}


def _file(name: str, sha256: str) -> dict[str, Any]:
    form = {"csv": "text/csv", "yaml": "application/yaml"}.get(name.rpartition(".")[2], "application/x-nifti")
    # RO-Crate 1.1 has no term for a hash.
    told = {"name": name, "encodingFormat": form, "identifier": f"sha256:{sha256}"}
    return {"@id": name, "@type": "File", **told}


def _run(facts: Facts) -> dict[str, Any]:
    """What the pipeline made of images and of what people returned."""
    ran = facts.manifest.ran if facts.manifest else None
    made = [*facts.labels, facts.record(layout.RELEASE_LEDGER)]
    return {
        "@id": f"#round-{facts.params.round}",
        "@type": "CreateAction",
        "name": f"Round {facts.params.round} of {facts.params.dataset}",
        "description": "Models propose masks, people decide on them, and the ledger is written.",
        "endTime": str(ran["at"]) if ran else facts.date,
        "instrument": {"@id": _SOFTWARE},
        "object": [{"@id": one.name} for one in [*facts.images, facts.record(layout.CASES)]],
        "result": [{"@id": one.name} for one in made],
    }


def _reviews(facts: Facts) -> list[dict[str, Any]]:
    """What every reader decided in every round."""
    said = Counter((one.version, one.reader, one.decision.value) for one in facts.readings)
    label = {case.case_id: one.name for case, one in zip(facts.cases, facts.labels, strict=False)}
    found = []
    for number, reader in sorted({key[:2] for key in said}):
        cases = sorted({r.case_id for r in facts.readings if (r.version, r.reader) == (number, reader)})
        decided = ", ".join(f"{n} {what}" for (v, who, what), n in sorted(said.items()) if (v, who) == (number, reader))
        found.append(
            {
                "@id": f"#review-{number}-{reader}",
                "@type": "CreateAction",
                "name": f"Review by {reader} in round {number}",
                "description": f"Decisions on masks: {decided}.",
                "endTime": facts.date,
                "agent": {"@id": f"#{reader}"},
                "instrument": {"@id": _SOFTWARE},
                "result": [{"@id": label[case]} for case in cases if case in label] or [{"@id": facts.record(layout.RELEASE_LEDGER).name}],
            }
        )
    return found


def _people(facts: Facts) -> list[dict[str, Any]]:
    """Readers; one that is a program is no person."""
    found = []
    for name in facts.people:
        known = facts.reviewers[name].told if name in facts.reviewers else ""
        kind = "SoftwareApplication" if name in facts.emulated else "Person"
        found.append({"@id": f"#{name}", "@type": kind, "name": name, "description": known or "reader"})
    return found
