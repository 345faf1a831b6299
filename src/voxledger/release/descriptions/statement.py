"""An in-toto statement with SLSA provenance over the manifest: `manifest.intoto.json`.

It is of a closed round: the manifest, which names every file, is its subject.
"""

from __future__ import annotations

import json

from voxledger import layout
from voxledger.imaging.volume import file_sha256
from voxledger.release.facts import Facts

_BUILD_TYPE = "https://pypi.org/project/voxledger/#round"


def describe(facts: Facts) -> dict[str, str]:
    """One JSON file; nothing while there is no manifest.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from voxledger.release.example import example_facts
    >>> describe(replace(example_facts(), manifest=None))
    {}
    """
    if facts.manifest is None:
        return {}
    digest = file_sha256(layout.MANIFEST)
    inputs = (layout.PARAMS, layout.SCHEMA, layout.CASES, layout.LOCK)
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": facts.record(layout.MANIFEST).name, "digest": {"sha256": digest}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": _BUILD_TYPE,
                "externalParameters": {"dataset": facts.params.dataset, "round": facts.params.round},
                "resolvedDependencies": [
                    *(_of(str(path), facts.sha256(path)) for path in inputs if path.is_file()),
                    *(_of(f"model {card.name}", card.id) for card in facts.used if len(card.id) == len(digest)),
                ],
            },
            "runDetails": {
                "builder": {"id": "https://pypi.org/project/voxledger/", "version": {"voxledger": facts.made_with}},
                "metadata": {
                    "invocationId": f"{facts.params.dataset}@{facts.version}",
                    "finishedOn": str((facts.manifest.closed or {}).get("at", facts.date)),
                },
            },
        },
    }
    return {layout.STATEMENT.name: json.dumps(statement, indent=1) + "\n"}


def _of(name: str, sha256: str) -> dict[str, object]:
    return {"name": name, "digest": {"sha256": sha256}}
