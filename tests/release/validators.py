"""What the tools of others say of descriptions and exports, without the network."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import requests
import urllib3
from commands import run
from huggingface_hub import DatasetCard, ModelCard

from voxledger.imaging.volume import mask_sha256, read
from voxledger.schema import LabelSchema

CONTEXT = Path(__file__).parent / "ro-crate-1.1-context.jsonld"
"""https://w3id.org/ro/crate/1.1/context, CC0-1.0."""


class _Context(requests.adapters.BaseAdapter):
    """The one answer that roc-validator needs of the network."""

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        known = request.url == "https://w3id.org/ro/crate/1.1/context"
        body = io.BytesIO(CONTEXT.read_bytes() if known else b"")
        form = {"Content-Type": "application/ld+json"}
        answer = urllib3.HTTPResponse(body, form, 200 if known else 404, preload_content=False)
        return requests.adapters.HTTPAdapter().build_response(request, answer)

    def close(self) -> None:
        pass


def crate_problems(crate: Path) -> list[str]:
    """What roc-validator says of a Process Run Crate, required and recommended."""
    from rocrate_validator import services
    from rocrate_validator.models import Severity, ValidationSettings
    from rocrate_validator.utils.http import HttpRequester

    with tempfile.TemporaryDirectory() as cache:
        settings = ValidationSettings(
            rocrate_uri=str(crate),
            profile_identifier="process-run-crate-0.5",
            requirement_severity=Severity.RECOMMENDED,
            offline=True,
            cache_path=Path(cache) / "answers",
        )
        session = HttpRequester().session
        session.settings.only_if_cached = False
        session.mount("https://", _Context())
        session.mount("http://", _Context())
        return [str(issue.message) for issue in services.validate(settings).get_issues()]


STATEMENT = {
    "type": "object",
    "required": ["_type", "subject", "predicateType", "predicate"],
    "properties": {
        "_type": {"const": "https://in-toto.io/Statement/v1"},
        "subject": {
            "type": "array",
            "minItems": 1,
            "items": {
                "required": ["name", "digest"],
                "properties": {"digest": {"properties": {"sha256": {"pattern": "^[0-9a-f]{64}$"}}, "minProperties": 1}},
            },
        },
        "predicateType": {"const": "https://slsa.dev/provenance/v1"},
        "predicate": {
            "required": ["buildDefinition", "runDetails"],
            "properties": {
                "buildDefinition": {"required": ["buildType", "externalParameters"]},
                "runDetails": {"required": ["builder"], "properties": {"builder": {"required": ["id"]}}},
            },
        },
    },
}
"""Of https://in-toto.io/Statement/v1 and https://slsa.dev/provenance/v1: what must be there."""
DATASHEET = (
    *("Motivation", "Composition", "Collection process", "Preprocessing, cleaning, labelling"),
    *("Uses", "Distribution", "Maintenance"),
)
"""The parts of Gebru et al., in their order."""


def text_problems(folder: Path) -> list[str]:
    """What is wrong with citation, statement, datasheet and cards in the folder of a release."""
    found = []
    said = run(
        *("check-jsonschema", "--builtin-schema", "vendor.citation-file-format", str(folder / "CITATION.cff")),
        accept=(0, 1),
    )
    found += [] if said.startswith("ok") else [said]
    statement = json.loads((folder / "manifest.intoto.json").read_text())
    found += [error.message for error in jsonschema.Draft202012Validator(STATEMENT).iter_errors(statement)]
    for subject in statement["subject"]:
        if hashlib.sha256((folder / subject["name"]).read_bytes()).hexdigest() != subject["digest"]["sha256"]:
            found.append(f"{subject['name']} is another one")
    parts = (folder / "datasheet.md").read_text().split("\n## ")[1:]
    if tuple(part.partition("\n")[0] for part in parts) != DATASHEET or any("\n* " not in part for part in parts):
        found.append("datasheet.md lacks a part")
    found += [] if DatasetCard.load(folder / "README.md").data.pretty_name else ["README.md has no name"]
    cards = sorted((folder / "model_cards").glob("*.md"))
    return found + [f"{p} names no licence" for p in cards if ModelCard.load(p).data.license is None]


def altered_hash_problem(croissant: Path, records: str) -> str:
    """What mlcroissant says once the file names another SHA-256 for the first of the images or labels."""
    import mlcroissant

    described = json.loads(croissant.read_text())
    one = next(d for d in described["distribution"] if d["@id"].startswith(f"{records}/"))
    one["sha256"] = hashlib.sha256(one["sha256"].encode()).hexdigest()
    altered = croissant.with_name("altered.json")
    altered.write_text(json.dumps(described))
    try:
        list(mlcroissant.Dataset(str(altered)).records(f"{records}-records"))
    except Exception as error:
        return str(error.__cause__)
    finally:
        altered.unlink()
    return ""


def count_masks(export: Path, schema: LabelSchema) -> tuple[int, list[str]]:
    """How many masks of an export in NIfTI were counted by Python, gzip and numpy, and which the ledger has otherwise.

    Compared are millilitres, as `provenance/ledger.csv` says them.
    """
    compared, wrong = 0, []
    with open(export / "provenance" / "ledger.csv", newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["mask_sha256"]]
    maps: dict[str, tuple[dict[int, int], float]] = {}
    for row in rows:
        case = row["case_id"]
        if case not in maps:
            content = gzip.decompress((export / "labels" / f"{case}.nii.gz").read_bytes())
            kind = {2: np.uint8, 512: np.uint16}[int(np.frombuffer(content, "<i2", 1, 70)[0])]
            start, voxel_mm = int(np.frombuffer(content, "<f4", 1, 108)[0]), np.frombuffer(content, "<f4", 3, 80)
            ids, counts = np.unique(np.frombuffer(content[start:], kind), return_counts=True)
            maps[case] = dict(zip(ids.tolist(), counts.tolist(), strict=True)), float(np.prod(voxel_mm)) / 1000
        counted, voxel_ml = maps[case]
        names = [one for one in schema.names if row["class_name"] in schema.chain(one)]
        ml = sum(counted.get(schema[one].id, 0) for one in names) * voxel_ml
        compared += 1
        if abs(ml - float(row["ml"])) > 1e-4 + 1e-4 * ml:
            wrong.append(f"{case}/{row['class_name']}: {ml} ml, not {row['ml']}")
    return compared, wrong


def bids_errors(folder: Path) -> list[str]:
    """Files that the validator of BIDS finds an error in."""
    said = json.loads(run("bids-validator-deno", str(folder), "--json", accept=(0, 16)))
    return [one["location"] for one in said["issues"]["issues"] if one["severity"] == "error"]


def image_hashes(croissant: Path) -> dict[str, str]:
    """SHA-256 of every image that the records of a Croissant file bring, by case."""
    import mlcroissant

    records = mlcroissant.Dataset(str(croissant)).records("images-records")
    return {r["images/case_id"].decode(): hashlib.sha256(r["images/nifti"]).hexdigest() for r in records}


def compare_masks(croissant: Path, schema: LabelSchema) -> tuple[int, list[str]]:
    """How many masks of the records of a Croissant file were hashed, and which are not what its ledger says."""
    import mlcroissant

    dataset = mlcroissant.Dataset(str(croissant))
    assert dataset.metadata.ctx.issues.report() == "", dataset.metadata.ctx.issues.report()
    rows = list(dataset.records("masks-records"))
    said = {(r["masks/case_id"].decode(), r["masks/class_name"].decode()): r["masks/mask_sha256"] for r in rows}
    compared, wrong = 0, []
    for record in dataset.records("labels-records"):
        case = record["labels/case_id"].decode()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "labels.nii.gz"
            path.write_bytes(record["labels/nifti"])
            labels = read(path)
        for name in schema.names:
            if digest := said.get((case, name)):
                compared += 1
                if mask_sha256(schema.mask(labels.array, name), labels.grid) != digest.decode():
                    wrong.append(f"{case}/{name}")
    return compared, wrong


@dataclass(frozen=True)
class Checked:
    """What is found of the descriptions in one folder."""

    images: int
    """Read as records, each with the SHA-256 of the case table."""
    masks: int
    """Read as records, each hashed as the ledger says."""
    problems: tuple[str, ...]
    """What any tool finds wrong."""


NO_URL = "The organization SHOULD have a URL."
"""roc-validator of a release whose `dataset.yaml` does not say where it is found: nobody else can."""


def check_folder(folder: Path, cases: Path, schema: LabelSchema) -> Checked:
    """All descriptions in the folder of a release or of an export, whose case table is given."""
    croissant = folder / "croissant.json"
    with open(cases, newline="", encoding="utf-8") as stream:
        expected = {row["case_id"]: row["sha256"] for row in csv.DictReader(stream)}
    images = image_hashes(croissant)
    masks, wrong = compare_masks(croissant, schema)
    problems = [*wrong, *(f"image of {case}" for case, sha256 in images.items() if expected[case] != sha256)]
    for records in ("images", "labels"):
        if "not identical" not in altered_hash_problem(croissant, records):
            problems.append(f"a wrong hash of {records} is not found")
    said = json.loads(croissant.read_text())
    crate = [problem for problem in crate_problems(folder) if problem != NO_URL or "url" in said]
    return Checked(len(images), masks, (*problems, *crate, *text_problems(folder)))
