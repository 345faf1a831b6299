"""What the tools of others say of descriptions and exports, without the network."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import requests
import urllib3
from commands import run

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


def bids_errors(folder: Path) -> list[str]:
    """Files that the validator of BIDS finds an error in."""
    said = json.loads(run("bids-validator-deno", str(folder), "--json", accept=(0, 16)))
    return [one["location"] for one in said["issues"]["issues"] if one["severity"] == "error"]


def compare_masks(croissant: Path, schema: LabelSchema) -> tuple[int, list[str]]:
    """How many masks of the records of a Croissant file were hashed, and which are not what its ledger says."""
    import mlcroissant

    dataset = mlcroissant.Dataset(str(croissant))
    assert dataset.metadata.ctx.issues.report() == ""
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
