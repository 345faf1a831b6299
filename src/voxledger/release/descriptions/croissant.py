"""Croissant 1.1 with the vocabulary of responsible AI: `croissant.json`.

Every image and label map is named with its SHA-256, and loaders such as `mlcroissant` refuse another one. Its records
are `images` and `labels` (case and file), `masks` (the ledger) and `cases`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.licences import spdx_url
from voxledger.release import narrative
from voxledger.release.facts import Facts, File
from voxledger.release.narrative import listed

_OURS = str.split(
    "arrayShape citeAs column containedIn equivalentProperty extract field fileObject fileProperty fileSet format "
    "includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace "
    "samplingRate separator source subField transform"
)
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "name": {"@container": "@language"},
    **{name: f"cr:{name}" for name in _OURS},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}
"""The context of Croissant 1.1, so that nobody has to fetch it."""
_NIFTI = "application/x-nifti"
_TABLES = {
    layout.RELEASE_LEDGER: ("masks", "case_id class_name version origin model_ids reviewer mask_sha256 ml"),
    layout.CASES: ("cases", "case_id split source licence modality patient"),
}


def describe(facts: Facts) -> dict[str, str]:
    """One JSON-LD file.

    Examples
    --------
    >>> from voxledger.release.example import example_facts
    >>> found = json.loads(describe(example_facts())["croissant.json"])
    >>> [one["@id"] for one in found["distribution"]]
    ['ledger.csv', 'cases.csv', 'images/case-7.nii.gz', 'images', 'labels/case-7.nii.gz', 'labels']
    >>> found["rai:annotatorDemographics"]
    ['ann (radiologist): 1 masks.']
    """
    said, licence = facts.description, spdx_url(facts.params.licence)
    described = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": facts.params.dataset,
        "alternateName": said.title,
        "description": facts.summary,
        "version": facts.version.removeprefix("v"),
        "datePublished": facts.date,
        "license": licence,
        "url": said.url,
        "creator": [
            {"@type": "sc:Person", "name": one.name, "url": f"https://orcid.org/{one.orcid}" if one.orcid else ""}
            for one in said.creators
        ],
        "citeAs": f"{listed(facts.authors)}. {facts.name}, {facts.version}. {facts.date[:4]}. {said.url}".strip(),
        **{f"rai:{name}": value for name, value in _responsible(facts).items()},
        "distribution": _distribution(facts),
        "recordSet": _record_sets(facts),
    }
    return {"croissant.json": json.dumps(_filled(described), indent=1, ensure_ascii=False) + "\n"}


def _responsible(facts: Facts) -> Mapping[str, str | list[str]]:
    """By the names of the vocabulary."""
    said = facts.description
    return {
        "dataCollection": " ".join(narrative.collection(facts)),
        "dataAnnotationProtocol": narrative.protocol(facts),
        "dataAnnotationPlatform": ["voxledger: bundles for a browser, 3D Slicer or ITK-SNAP"],
        "dataAnnotationAnalysis": narrative.agreement(facts),
        "annotationsPerItem": narrative.per_item(facts),
        "annotatorDemographics": narrative.annotators(facts),
        "machineAnnotationTools": narrative.machines(facts),
        "dataLimitations": narrative.limitations(facts),
        "dataBiases": [said.biases],
        "dataUseCases": [said.uses, said.not_for and f"Not for: {said.not_for}"],
        "dataSocialImpact": said.impact,
        "personalSensitiveInformation": [said.sensitive, said.consent, said.ethics],
        "dataReleaseMaintenancePlan": said.maintenance,
        "licences": narrative.licences(facts),
    }


def _filled(value: Any) -> Any:
    """Without what nobody said."""
    if isinstance(value, dict):
        return {k: filled for k, v in value.items() if (filled := _filled(v)) not in ("", [], {})}
    return [filled for v in value if (filled := _filled(v)) != ""] if isinstance(value, list) else value


def _distribution(facts: Facts) -> list[dict[str, Any]]:
    tables = [_file(facts.record(path), path.name, "text/csv") for path in _TABLES]
    return [*tables, *_set("images", facts.images), *_set("labels", facts.labels)]


def _set(name: str, files: Sequence[File]) -> list[dict[str, Any]]:
    """The files, each with its hash, and all of them as one set; nothing where there are none."""
    if not files:
        return []
    named = [_file(one, f"{name}/{Path(one.name).name}", _NIFTI) for one in files]
    inside = [{"@id": one["@id"]} for one in named]
    whole = {"@type": "cr:FileSet", "@id": name, "name": name, "encodingFormat": _NIFTI, "includes": "*.nii.gz"}
    return [*named, {**whole, "containedIn": inside}]


def _file(file: File, name: str, form: str) -> dict[str, Any]:
    told = {"@id": name, "name": name, "contentUrl": file.name, "encodingFormat": form, "sha256": file.sha256}
    return {"@type": "cr:FileObject", **told}


def _record_sets(facts: Facts) -> list[dict[str, Any]]:
    found = [
        _records(name, [_field(f"{name}/{c}", "fileObject", path.name, {"column": c}) for c in columns.split()])
        for path, (name, columns) in _TABLES.items()
    ]
    for name, files in (("images", facts.images), ("labels", facts.labels)):
        if files:
            case = _field(f"{name}/case_id", "fileSet", name, {"fileProperty": "filename"})
            case["source"]["transform"] = {"regex": r"(.*)\.nii\.gz"}
            found.append(_records(name, [case, _field(f"{name}/nifti", "fileSet", name, {"fileProperty": "content"})]))
    return found


def _records(name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {"@type": "cr:RecordSet", "@id": f"{name}-records", "name": f"{name}-records", "field": fields}


def _field(name: str, kind: str, source: str, extract: dict[str, str]) -> dict[str, Any]:
    taken = {kind: {"@id": source}, "extract": extract}
    return {"@type": "cr:Field", "@id": name, "name": name, "dataType": "sc:Text", "source": taken}
