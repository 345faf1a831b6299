"""The import stage: returned bundles and new predictions become the labels and the ledger of the next version."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from voxledger import layout
from voxledger.bundles.contradictions import Opinion, disputes
from voxledger.bundles.label_file import read_returned_label
from voxledger.bundles.merge import Claim, LabelMap, Mask, merge, repaint, require_trust
from voxledger.bundles.shown import Sources, entries_of, read_sources, require_proposed
from voxledger.casemap import Task, casemap, key_of
from voxledger.errors import BundleRefused, VoxledgerError
from voxledger.imaging.volume import Grid, file_sha256, mask_sha256, read_label, write
from voxledger.params import MachineParams
from voxledger.records.bundle import (
    LABELS,
    MANIFEST,
    content_sha256,
    expected_bundles,
    label_case,
    returned_files,
    says_what_was_sent,
)
from voxledger.records.cases import Case, Split
from voxledger.records.decisions import FILE as DECISIONS
from voxledger.records.decisions import Decision, ErrorType, Row, read_decisions
from voxledger.records.ledger import Entry, Ledger, Neighbour, Origin, write_ledger
from voxledger.records.predicted import Ensemble
from voxledger.schema import LabelSchema
from voxledger.textfile import write_table

ALGORITHM_VERSION = 4

DECISION_COLUMNS = [
    "case_id",
    "class_name",
    "decision",
    "reviewer",
    "minutes",
    "error_type",
    "comment",
    "bundle",
    "changed_voxels",
]
MERGE_COLUMNS = ["case_id", "class_name", "origin", "voxels", "taken_by"]

_ORIGINS = {
    Decision.ACCEPT: Origin.ACCEPTED,
    Decision.REVISE: Origin.REVISED,
    Decision.REJECT: Origin.REJECTED,
}


def import_round(
    cases: Sequence[Case],
    schema: LabelSchema,
    ledger: Ledger,
    predicted: Mapping[str, Ensemble],
    version: int,
    machine: MachineParams,
    *,
    base: Path = layout.BASE,
    pseudo: Path = layout.PSEUDO,
    bundles: Path = layout.BUNDLES,
    inbox: Path = layout.INBOX,
    received: Path = layout.RECEIVED,
    release: Path = layout.RELEASE,
    out: Path = layout.ROUND,
) -> Ledger:
    """Merge every case class by class and write labels, revisions and ledger of the next version.

    Writes `release/labels/<case>.nii.gz` of every case with a row in the ledger, `release/revisions/<bundle sha256>/`,
    `release/ledger.csv`, `out/decisions.csv`, `out/merge.csv` (trusted masks that gave voxels to a class of higher
    precedence) and `out/import.jsonl`. Cases outside the pool are passed on as they are, byte for byte, and so is every
    label that comes out as it was.

    Parameters
    ----------
    predicted
        Who predicted each case.

    Raises
    ------
    BundleRefused
        A returned bundle is not what the gate let through.
    CasesFailed
        Names every case that could not be merged; nothing of the version is written.
    """
    returned = _received(received, bundles, inbox)
    tasks = []
    for case in cases:
        payload = _payload(case, schema, ledger, version, base, predicted, pseudo, returned)
        if payload["entries"] or payload["predicted"] or payload["returns"]:
            tasks.append(Task(case.case_id, _key(case, payload), payload))
    shutil.rmtree(release / "labels", ignore_errors=True)
    found = casemap(
        "import",
        _merge_case,
        tasks,
        release / "labels",
        workers=machine.worker_count,
        recheck=machine.recheck,
        manifest=out / "import.jsonl",
    )
    merged = {(e["case_id"], e["class_name"]): _entry(e) for info in found for e in info["entries"]}
    _require_nothing_lost(ledger, merged)
    _keep_revisions(base / "revisions", release / "revisions", returned)
    order = {name: i for i, name in enumerate(schema.names)}
    decisions = [row for info in found for row in info["decisions"]]
    decisions.sort(key=lambda row: (row["case_id"], order[row["class_name"]]))
    write_table(out / "decisions.csv", DECISION_COLUMNS, decisions)
    write_table(out / "merge.csv", MERGE_COLUMNS, [row for info in found for row in info["taken"]])
    write_ledger(release / "ledger.csv", merged, schema.names)
    return merged


def _received(received: Path, bundles: Path, inbox: Path) -> list[dict[str, Any]]:
    """The bundles that the gate let through, checked to be unchanged since, each with its decisions."""
    try:
        listed = json.loads(received.read_text("utf-8"))["bundles"]
        ids = sorted(b["id"] for b in listed)
    except (OSError, ValueError, KeyError, TypeError):
        raise VoxledgerError(f"{received} is not what the gate wrote", "run `dvc repro -f gate`") from None
    exported = {manifest.id: (folder, manifest) for folder, manifest in expected_bundles(bundles).items()}
    if ids != sorted(exported):
        raise VoxledgerError(f"{received} is of other bundles than {bundles}", "run `dvc repro gate`")
    found = []
    for entry in listed:
        folder = inbox / entry["folder"]
        files = returned_files(folder)
        if content_sha256(entry["id"], files) != entry["sha256"]:
            raise BundleRefused(f"{folder} has changed since the gate let it through", "run `dvc repro gate`")
        source, manifest = exported[entry["id"]]
        if not says_what_was_sent((folder / MANIFEST).read_bytes(), manifest):
            raise BundleRefused(
                f"{folder / MANIFEST} has changed since the gate let it through", "run `dvc repro gate`"
            )
        table = read_decisions(folder / DECISIONS)
        found.append(
            {
                "folder": folder,
                "exported": source,
                "sha256": entry["sha256"],
                "reviewer": manifest.reviewer,
                "model_ids": manifest.model_ids,
                "cases": manifest.cases,
                "most_bytes": {c: manifest.most_label_bytes(c) for c in manifest.cases},
                "rows": table.rows,
                "files": files,
            }
        )
    return sorted(found, key=lambda b: str(b["reviewer"]))


def _payload(
    case: Case,
    schema: LabelSchema,
    ledger: Ledger,
    version: int,
    base: Path,
    predicted: Mapping[str, Ensemble],
    pseudo: Path,
    returned: list[dict[str, Any]],
) -> dict[str, Any]:
    label = base / "labels" / f"{case.case_id}.nii.gz"
    proposed = pseudo / f"{case.case_id}.nii.gz"
    reviewable = case.split is Split.POOL
    ensemble = predicted.get(case.case_id) if reviewable else None
    require_proposed(case.case_id, ensemble, proposed)
    returns = []
    for bundle in returned:
        if case.case_id not in bundle["cases"]:
            continue
        path = next(p for p in bundle["files"] if p.startswith(f"{LABELS}/") and label_case(p, [case.case_id]))
        shown = bundle["exported"] / LABELS / f"{case.case_id}.nii.gz"
        rows = [r for (c, _), r in sorted(bundle["rows"].items()) if c == case.case_id and r.decision is not None]
        returns.append(
            {
                "label": str(bundle["folder"] / path),
                "label_sha256": bundle["files"][path],
                "most_bytes": bundle["most_bytes"][case.case_id],
                "shown": str(shown),
                "shown_sha256": file_sha256(shown),
                "sha256": bundle["sha256"],
                "reviewer": bundle["reviewer"],
                "rows": [asdict(r) for r in rows],
            }
        )
    return {
        "case_id": case.case_id,
        "version": version,
        "image": case.image,
        "base": str(label),
        "base_sha256": file_sha256(label) if label.is_file() else "",
        "pseudo": str(proposed),
        "pseudo_sha256": file_sha256(proposed) if ensemble is not None else "",
        "predicted": {name: list(ids) for name, ids in sorted(ensemble.by_class.items())} if ensemble else {},
        "entries": [asdict(e) for e in entries_of(ledger, case).values()],
        "returns": returns,
        "schema": schema.model_dump(mode="json"),
    }


def _key(case: Case, payload: dict[str, Any]) -> str:
    places = ("image", "base", "pseudo")
    parts = {k: v for k, v in payload.items() if k not in (*places, "returns")}
    if not payload["returns"] and not payload["predicted"]:
        # Passed on as it is: no round of its own.
        del parts["version"]
    parts["returns"] = [{k: v for k, v in r.items() if k not in ("label", "shown")} for r in payload["returns"]]
    # The suffix tells how a returned label is read.
    parts["suffixes"] = [Path(r["label"]).name for r in payload["returns"]]
    return key_of("import", ALGORITHM_VERSION, image_sha256=case.sha256, **parts)


def _merge_case(payload: dict[str, Any], folder: Path) -> dict[str, Any]:
    schema = LabelSchema.model_validate(payload["schema"])
    case_id, version = payload["case_id"], payload["version"]
    entries = {e["class_name"]: _entry(e) for e in payload["entries"]}
    sources = read_sources(
        schema,
        Path(payload["image"]),
        Path(payload["base"]) if payload["base_sha256"] else None,
        Path(payload["pseudo"]) if payload["pseudo_sha256"] else None,
        entries,
        frozenset(payload["predicted"]),
        version,
    )
    proposal = sources.proposal(schema)
    claims, decided, moved = _with_decisions(payload, schema, sources, proposal)
    merged = merge(schema, list(claims.values()), proposal.shape)
    trusted = {
        name: sources.base
        for name, entry in entries.items()
        if entry.origin.trusted and (name not in decided or decided[name][0].decision is Decision.ACCEPT)
    }
    for name, (row, _) in decided.items():
        returned = claims[name].labels
        if row.decision is Decision.REVISE and returned is not None:
            trusted[name] = returned
        elif row.decision is Decision.ACCEPT:
            trusted.setdefault(name, proposal)
    taken = require_trust(schema, list(claims.values()), trusted, merged, moved, case_id)
    new = {
        name: _new_entry(
            payload,
            claim,
            merged,
            sources.grid,
            schema,
            entries.get(name),
            decided.get(name),
            [_neighbour(by, entries, decided) for by in taken[name][1].split(";")] if name in taken else [],
        )
        for name, claim in claims.items()
    }
    if new:
        # Also where every mask is empty: that a case holds nothing is what its rows say.
        target = folder / f"{case_id}.nii.gz"
        if payload["base_sha256"] and np.array_equal(merged, sources.base):
            shutil.copyfile(payload["base"], target)
        else:
            write(target, merged, sources.grid)
    return {
        "entries": [{**asdict(entry), "origin": entry.origin.value} for entry in new.values()],
        "decisions": [
            {
                "case_id": case_id,
                "class_name": name,
                "decision": row.decision,
                "reviewer": bundle["reviewer"],
                "minutes": "" if row.minutes is None else f"{row.minutes:.2f}",
                "error_type": row.error_type,
                "comment": row.comment,
                "bundle": bundle["sha256"],
                "changed_voxels": int((schema.mask(merged, name) != schema.mask(proposal, name)).sum()),
            }
            for name, (row, bundle) in decided.items()
        ],
        "taken": [
            {
                "case_id": case_id,
                "class_name": name,
                "origin": claims[name].origin.value,
                "voxels": voxels,
                "taken_by": by,
            }
            for name, (voxels, by) in taken.items()
        ],
    }


_Decided = dict[str, tuple[Row, dict[str, Any]]]


def _with_decisions(
    payload: dict[str, Any], schema: LabelSchema, sources: Sources, proposal: LabelMap
) -> tuple[dict[str, Claim], _Decided, dict[str, Mask]]:
    """The claims after what reviewers returned, the decisions by class, and voxels that classes gave to others."""
    moved: dict[str, Mask] = {}
    if not payload["returns"]:
        return sources.claims, {}, moved
    seen = proposal
    returned = []
    for bundle in payload["returns"]:
        shown = read_label(bundle["shown"], sources.grid)
        if not np.array_equal(shown, proposal):
            raise VoxledgerError(
                f"{bundle['shown']} is not what is proposed now: labels or predictions changed after the export",
                f"bring {layout.BASE} and {layout.ROUND} back to what they were at the export with `dvc checkout`",
            )
        labels = read_returned_label(Path(bundle["label"]), sources.grid, bundle["most_bytes"])
        schema.check(labels, bundle["label"])
        rows = {r["class_name"]: _row(r) for r in bundle["rows"]}
        revised = [name for name, row in rows.items() if row.decision is Decision.REVISE]
        seen, given = repaint(schema, seen, proposal, labels, revised)
        moved |= given
        returned.append((labels, rows, bundle))
    opinions = [
        Opinion(b["reviewer"], labels, {n: row.decision for n, row in rows.items() if row.decision is not None})
        for labels, rows, b in returned
    ]
    for dispute in disputes(schema, proposal, opinions):
        raise BundleRefused(f"case {payload['case_id']}: {dispute}", "run `dvc repro -f gate`")
    claims = {name: Claim(name, c.origin, c.version, seen) for name, c in sources.claims.items()}
    decided: _Decided = {}
    for labels, rows, bundle in returned:
        for name, row in rows.items():
            if name in decided:
                raise BundleRefused(
                    f"case {payload['case_id']}, class {name} was decided on twice", "run `dvc repro -f gate`"
                )
            assert row.decision is not None
            mask = {Decision.ACCEPT: seen, Decision.REVISE: labels, Decision.REJECT: None}[row.decision]
            claims[name] = Claim(name, _ORIGINS[row.decision], payload["version"], mask)
            decided[name] = (row, bundle)
    return {name: claims[name] for name in schema.names if name in claims}, decided, moved


def _new_entry(
    payload: dict[str, Any],
    claim: Claim,
    merged: LabelMap,
    grid: Grid,
    schema: LabelSchema,
    old: Entry | None,
    decided: tuple[Row, dict[str, Any]] | None,
    neighbours: list[Neighbour],
) -> Entry:
    mask = schema.mask(merged, claim.name)
    digest = mask_sha256(mask, grid)
    model_ids: tuple[str, ...] = tuple(payload["predicted"].get(claim.name, ()))
    if old is not None and (old.origin.trusted or not model_ids):
        # What people already stood behind was not proposed by the models of this round.
        model_ids = old.model_ids
    origin, reviewer, bundle = claim.origin, "", ""
    if decided is not None:
        reviewer, bundle = decided[1]["reviewer"], decided[1]["sha256"]
    elif old is not None and origin is old.origin:
        reviewer, bundle = old.reviewer, old.bundle
        if (digest, model_ids) == (old.mask_sha256, old.model_ids):
            return old
        neighbours = [*old.changed_by, *(n for n in neighbours if n not in old.changed_by)]
    return Entry(
        payload["case_id"],
        claim.name,
        payload["version"],
        origin,
        model_ids,
        reviewer,
        bundle,
        digest,
        old.mask_sha256 if old is not None else "",
        round(int(mask.sum()) * grid.voxel_ml, 4),
        tuple(neighbours),
    )


def _neighbour(name: str, entries: Mapping[str, Entry], decided: _Decided) -> Neighbour:
    """Who stands behind a class that changed another one: this round's decision, or the one in the base ledger."""
    if name in decided:
        bundle = decided[name][1]
        return Neighbour(name, bundle["reviewer"], bundle["sha256"])
    entry = entries.get(name)
    return Neighbour(name, entry.reviewer, entry.bundle) if entry else Neighbour(name, "", "")


def _require_nothing_lost(before: Ledger, after: Ledger) -> None:
    """Every row of the base is in the new ledger; a trusted one loses its trust to a reviewer's reject alone."""
    for (case_id, name), entry in before.items():
        now = after.get((case_id, name))
        rejected = now is not None and now.origin is Origin.REJECTED and now.bundle != entry.bundle
        if now is None or (entry.origin.trusted and not now.origin.trusted and not rejected):
            raise VoxledgerError(
                f"case {case_id}, class {name} of the base ledger ({entry.origin}) would be lost",
                f"nothing was written to the ledger; is the case still in {layout.CASES}?",
            )


def _keep_revisions(base: Path, out: Path, returned: list[dict[str, Any]]) -> None:
    """Copy every earlier revision, and add the new ones as they came under the hash of the returned bundle."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if base.is_dir():
        for earlier in sorted(p for p in base.iterdir() if p.is_dir()):
            shutil.copytree(earlier, out / earlier.name)
    for bundle in returned:
        target = out / bundle["sha256"]
        for path in (MANIFEST, *bundle["files"]):
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle["folder"] / path, target / path)


def _entry(values: dict[str, Any]) -> Entry:
    neighbours = tuple(Neighbour(**n) for n in values["changed_by"])
    given = {**values, "origin": Origin(values["origin"]), "model_ids": tuple(values["model_ids"])}
    return Entry(**{**given, "changed_by": neighbours})


def _row(values: dict[str, Any]) -> Row:
    return Row(**{**values, "decision": Decision(values["decision"]), "error_type": ErrorType(values["error_type"])})
