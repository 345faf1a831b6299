"""Whether a version is still what was released: every file against the manifest, the manifest against its signature."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.casemap.each import bytes_of, each
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import file_sha256
from voxledger.records.cases import Case, read_cases
from voxledger.records.ledger import Ledger, read_ledger
from voxledger.records.manifest import Manifest, read_manifest
from voxledger.records.mask_check import differing_masks
from voxledger.release.committed import commit_at, committed, content_at, tag_object
from voxledger.release.decided_check import check_decided
from voxledger.release.files_check import Findings, bring, check_files
from voxledger.release.purged_check import check_withdrawals
from voxledger.release.readings_check import check_readings, kept_returns, readable
from voxledger.release.reviews_check import Review, Reviews, check_reviews
from voxledger.repository import round_tags
from voxledger.schema import LabelSchema, read_schema
from voxledger.signing import GIT, RELEASE, signer


@dataclass
class Verdict:
    """What `verify` found."""

    tag: str
    version: str = "unknown"
    files: int = 0
    masks: int = 0
    readings: int = 0
    """What readers said, compared with the bundles that they returned."""
    signer: str = "nobody"
    tag_signature: str = "not signed"
    problems: list[str] = field(default_factory=list)
    """What was altered, each beginning with the file or tag."""
    missing: list[str] = field(default_factory=list)
    """Files that are not here."""
    withdrawn: dict[str, str] = field(default_factory=dict)
    """Files that are not here because they were withdrawn, with the SHA-256 that they had."""
    command: str = ""
    """Brings what is missing."""
    converted: list[str] = field(default_factory=list)
    """Files that git wrote with other line ends than the version has."""
    notes: list[str] = field(default_factory=list)
    """What was not looked at, and why."""
    reviews: list[Review] = field(default_factory=list)
    """Returns that the version keeps, with the signatures that count."""
    review_keys: str = ""
    """Whose keys those had to be by: the auditor's file, or the version's own, which proves nothing by itself."""


def verify(tag: str, allowed_signers: Path | None = None, withdrawn: Path | None = None) -> Verdict:
    """Check the working tree of a clone that stands at `tag`.

    Compares the names in tags, manifest and parameters; the signatures; every file with the manifest and with git's
    objects, whatever git's index says; every image with the case table; every mask with the ledger; and ledger and
    readings with the bundles that came back.

    Parameters
    ----------
    allowed_signers
        Keys that the auditor trusts.
    withdrawn
        List of what was removed of the version since; without keys that may have signed it, it says nothing.

    Raises
    ------
    Misuse
        The current folder is no clone, there is no such tag, or the clone stands elsewhere.
    """
    _require_clone(tag)
    verdict = Verdict(tag)
    commit = commit_at("HEAD")
    released = _released(commit)
    if commit_at(f"refs/tags/{tag}") != commit and (released is None or tag not in released.tags):
        raise Misuse(
            f"the working tree is not at {tag}, so its files cannot be checked",
            f"make a fresh clone: `git clone --depth 1 --branch {tag} REPOSITORY check && cd check && dvc pull`, "
            f"then `voxledger verify {tag}` there",
        )
    tree = committed(commit)
    if released is not None and released.listed_folders is not None:
        verdict.notes.append("its manifest has format 1, which does not list bundles, attention and proposals")
    if released is None:
        verdict.problems.append(
            f"{layout.MANIFEST}: {tag} holds none that can be read, so it was not made by `round close`"
        )
    else:
        verdict.version = f"{released.dataset} {released.version}"
        verdict.problems += _check_names(tag, released, content_at(commit, layout.PARAMS))
    _check_signatures(verdict, commit, released, allowed_signers)
    found = check_files(tree, released)
    review = _yaml_at(content_at(commit, layout.PARAMS)).get("review") or {}
    masks, readings = _check_tables(found, released, review)
    required = review.get("require_signature") is True
    excused = check_withdrawals(found, released, withdrawn, allowed_signers)
    reviews = _check_reviews(found, released, required, allowed_signers)
    return replace(
        verdict,
        files=found.checked,
        masks=masks,
        readings=readings,
        problems=verdict.problems + found.problems + excused.problems + reviews.problems,
        missing=found.missing,
        withdrawn=excused.files,
        command=bring(found.missing, tree),
        converted=found.converted,
        notes=verdict.notes + excused.notes + reviews.notes,
        reviews=reviews.reviews,
        review_keys=reviews.keys,
    )


def _require_clone(tag: str) -> None:
    """Raise unless this is a clone, and has the tag."""
    if not Path(".git").exists():
        raise Misuse(f"{Path.cwd()} is not the root of a clone: no .git", "change to the folder that `git clone` made")
    if not commit_at(f"refs/tags/{tag}"):
        raise Misuse(
            f"{tag} is not a tag here", f"use one of {', '.join(round_tags()) or 'those that round close sets'}"
        )


def _released(commit: str) -> Manifest | None:
    content = content_at(commit, layout.MANIFEST)
    try:
        return None if content is None else read_manifest(content)
    except Misuse:
        raise
    except VoxledgerError:
        return None


def _check_names(tag: str, manifest: Manifest, params: bytes | None) -> list[str]:
    """A signed manifest and a signed tag of one round prove nothing in the place of another's."""
    problems = []
    if tag not in manifest.tags:
        problems.append(f"tag {tag}: leads to the manifest of {' and '.join(manifest.tags)}")
    if manifest.version != f"v{manifest.round}.0.0":
        problems.append(f"{layout.MANIFEST}: round {manifest.round} cannot be version {manifest.version}")
    said = _yaml_at(params)
    if (said.get("dataset"), said.get("round")) != (manifest.dataset, manifest.round):
        problems.append(
            f"{layout.PARAMS}: speaks of round {said.get('round')} of {said.get('dataset')}, the manifest of round "
            f"{manifest.round} of {manifest.dataset}"
        )
    return problems


def _yaml_at(content: bytes | None) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        values = YAML(typ="safe", pure=True).load(content or b"")
    except YAMLError:
        return {}
    return values if isinstance(values, dict) else {}


def _check_signatures(verdict: Verdict, commit: str, manifest: Manifest | None, allowed_signers: Path | None) -> None:
    signature, content = content_at(commit, layout.SIGNATURE), content_at(commit, layout.MANIFEST)
    if signature is not None and content is not None:
        found = signer(content, signature, RELEASE, allowed_signers, _tagged_at(tag_object(verdict.tag) or b""))
        if found.name is not None:
            verdict.signer = found.name
        elif allowed_signers is None:
            verdict.problems.append(f"{layout.SIGNATURE}: does not fit {layout.MANIFEST}")
        else:
            why = f": {found.why}" if found.why else ""
            verdict.problems.append(f"{layout.MANIFEST}: is not signed by anybody in {allowed_signers}{why}")
    elif allowed_signers is not None:
        verdict.problems.append(f"{layout.SIGNATURE}: missing, the release is not signed")
    tags = manifest.tags if manifest else ()
    others = [name for name in tags if name != verdict.tag and commit_at(f"refs/tags/{name}")]
    verdict.tag_signature, problems = _check_tag(verdict.tag, commit, manifest, allowed_signers)
    verdict.problems += problems
    for name in others:
        verdict.problems += _check_tag(name, commit, manifest, allowed_signers)[1]


def _check_tag(tag: str, commit: str, manifest: Manifest | None, allowed_signers: Path | None) -> tuple[str, list[str]]:
    """State of a tag's signature, and what is wrong with the tag."""
    if commit_at(f"refs/tags/{tag}") != commit:
        return "bad", [
            f"tag {tag}: was moved: it names commit {commit_at(f'refs/tags/{tag}')[:12]}, and the version lies at "
            f"{commit[:12]}"
        ]
    content = tag_object(tag)
    if content is None:
        return "not signed", [
            f"tag {tag}: only names a commit, and `round close` makes a tag object (if this clone lost it: "
            "`git fetch --tags --force`)"
        ]
    begin = content.find(b"-----BEGIN SSH SIGNATURE-----")
    payload = content if begin < 0 else content[:begin]
    head, _, message = payload.decode("utf-8", "replace").partition("\n\n")
    said = dict(line.partition(" ")[::2] for line in head.splitlines())
    problems = []
    if said.get("tag") != tag:
        problems.append(f"tag {tag}: is the tag object of {said.get('tag')}, put in another place")
    if (said.get("type"), said.get("object")) != ("commit", commit):
        problems.append(f"tag {tag}: names {said.get('type')} {said.get('object', '')[:12]}, not the version's commit")
    if manifest and message.split("\n")[0] != f"{manifest.dataset} {manifest.version}":
        problems.append(f"tag {tag}: its message is “{message.strip()}”, not “{manifest.dataset} {manifest.version}”")
    if begin < 0:
        if allowed_signers is not None:
            problems.append(f"tag {tag}: not signed with an ssh key, so anybody may have set it")
        return "not signed", problems
    found = signer(payload, content[begin:], GIT, allowed_signers, _tagged_at(payload))
    if found.name is None:
        by = "anybody" if allowed_signers is None else f"anybody in {allowed_signers}"
        why = f": {found.why}" if found.why else ""
        return "bad", [*problems, f"tag {tag}: its signature is not by {by}{why}"]
    return ("signed, not checked" if allowed_signers is None else "good"), problems


def _tagged_at(tag: bytes) -> datetime | None:
    """When a tag object says that it was made; git takes that for the time of signing."""
    when = re.search(rb"^tagger .* (\d{1,11}) [+-]\d{4}$", tag.partition(b"\n\n")[0], re.MULTILINE)
    return datetime.fromtimestamp(int(when[1]), UTC) if when else None


def _check_reviews(found: Findings, released: Manifest | None, required: bool, allowed_signers: Path | None) -> Reviews:
    """The signatures of reviews, unless what they are judged by is itself altered, or not here."""
    unusable = sorted(found.unusable & {path.as_posix() for path in (layout.RELEASE_LEDGER, layout.REVIEWERS)})
    if unusable:
        return Reviews(notes=[f"without {' and '.join(unusable)}, signatures of reviews were not checked"])
    try:
        ledger = read_ledger(layout.RELEASE_LEDGER)
        return check_reviews(found, released, ledger, required, allowed_signers)
    except VoxledgerError as error:
        return Reviews(problems=[] if error.problem in found.problems else [error.problem])


def _check_tables(found: Findings, manifest: Manifest | None, review: Mapping[str, Any]) -> tuple[int, int]:
    """Images against the case table, masks against the ledger, and it and readings against returns.

    What is known to be altered is left out. Adds what it finds; returns how many masks and readings were compared.
    """
    if found.unusable & {p.as_posix() for p in (layout.RELEASE_LEDGER, layout.SCHEMA, layout.CASES)}:
        return 0, 0
    try:
        cases, schema = {c.case_id: c for c in read_cases()}, read_schema(layout.SCHEMA)
        ledger = read_ledger(layout.RELEASE_LEDGER)
    except VoxledgerError as error:
        found.problems.append(error.problem)
        return 0, 0
    _check_images(found, cases)
    masks = _check_masks(found, cases, schema, ledger)
    kept, readings, number = kept_returns(found), readable(found), manifest.round if manifest else None
    check_decided(found, ledger, schema, readings, kept, number)
    return masks, 0 if readings is None else check_readings(found, readings, kept, number, review)


def _check_masks(found: Findings, cases: Mapping[str, Case], schema: LabelSchema, ledger: Ledger) -> int:
    """Every mask against the ledger; returns how many were compared."""
    of_case: dict[str, dict[str, str]] = {}
    for (case_id, class_name), entry in ledger.items():
        of_case.setdefault(case_id, {})[class_name] = entry.mask_sha256
    masks = []
    for case_id, hashes in sorted(of_case.items()):
        label = layout.label_map(layout.RELEASE_LABELS, case_id).as_posix()
        unknown = sorted(hashes.keys() - set(schema.names))
        if case_id not in cases or unknown:
            what = f"class {', '.join(unknown)} of case {case_id}" if unknown else f"case {case_id}"
            listed = layout.SCHEMA if unknown else layout.CASES
            found.problems.append(f"{layout.RELEASE_LEDGER}: {what} is not in {listed}")
        elif not found.unusable & {label, *(f.image for f in cases[case_id].channels)}:
            masks.append(_Masks(case_id, schema, cases[case_id].channels[0].image, label, hashes))
    size = bytes_of(path for m in masks for path in (m.image, m.label))
    for problems in each("verify masks", _differing, masks, lambda m: m.case_id, size):
        found.problems += problems
    return sum(len(m.hashes) for m in masks)


def _check_images(found: Findings, cases: Mapping[str, Case]) -> None:
    """Compare images with the case table; adds what it finds."""
    listed = sorted((f.image, f.sha256) for c in cases.values() for f in c.channels)
    here = [image for image, _ in listed if image not in found.unusable and Path(image).is_file()]
    hashed = each("verify images", file_sha256, here, str, bytes_of(here))
    digests = dict(zip(here, hashed, strict=True))
    for image, digest in listed:
        if image in found.unusable:
            continue
        if image not in digests:  # as it may be with manifests of format 1, which do not list images
            found.missing.append(image)
        elif digests[image] != digest:
            found.problems.append(f"{image}: altered, its SHA-256 is not the one in {layout.CASES}")
        else:
            continue
        found.unusable.add(image)


@dataclass(frozen=True)
class _Masks:
    """The masks of a case, and what the ledger says of them."""

    case_id: str
    schema: LabelSchema
    image: str
    label: str
    hashes: dict[str, str]
    """SHA-256 by class."""


def _differing(masks: _Masks) -> list[str]:
    """What is wrong with them."""
    try:
        names = differing_masks(masks.schema, masks.image, masks.label, masks.hashes)
    except VoxledgerError as error:
        return [error.problem]
    return [f"{masks.label}: class {name} is not the mask that the ledger names" for name in names]
