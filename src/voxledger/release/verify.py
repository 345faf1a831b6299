"""Whether a version is still what was released: every file against the manifest, the manifest against its signature."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voxledger.cases import Case, read_cases
from voxledger.errors import Misuse, VoxledgerError
from voxledger.ledger import read_ledger
from voxledger.mask_check import differing_masks
from voxledger.progress import progress
from voxledger.release.manifest import (
    MANIFEST,
    SIGNATURE,
    check_signature,
    files_of_version,
    read_manifest,
)
from voxledger.repository import commit_of, file_at, git, round_tags, run_tool, tag_exists
from voxledger.schema import read_schema
from voxledger.volume import file_sha256


@dataclass(frozen=True)
class Verdict:
    """What `verify` found: `problems` is empty for a version that is intact."""

    tag: str
    files: int
    masks: int
    signer: str
    tag_signature: str
    problems: list[str]


def verify(tag: str, allowed_signers: Path | None = None) -> Verdict:
    """Check the working tree of a clone that stands at `tag`.

    Compares the manifest with the one in the tag, its signature, every file of the version with the manifest, every
    image with the case table, and every mask with the ledger.

    Raises
    ------
    Misuse
        There is no such tag.
    VoxledgerError
        The clone stands elsewhere, or its data are not here.
    """
    if not tag_exists(tag):
        raise Misuse(
            f"{tag} is not a tag here", f"use one of {', '.join(round_tags()) or 'those that round close sets'}"
        )
    if commit_of("HEAD") != commit_of(tag):
        raise VoxledgerError(
            f"the working tree is not at {tag}, so its files cannot be checked",
            f"make a fresh clone: `git clone --depth 1 --branch {tag} REPOSITORY check && cd check && dvc pull`, "
            f"then `voxledger verify {tag}` there",
        )
    committed = file_at(tag, MANIFEST.as_posix())
    if committed is None:
        raise VoxledgerError(f"{tag} has no {MANIFEST}", "it was not made by `voxledger round close`")
    problems: list[str] = []
    if not MANIFEST.is_file() or MANIFEST.read_bytes() != committed.encode():
        problems.append(f"{MANIFEST}: not the manifest that {tag} was released with")
    signer = "nobody"
    signature = file_at(tag, SIGNATURE.as_posix())
    if signature is not None:
        if not SIGNATURE.is_file() or SIGNATURE.read_bytes() != signature.encode():
            problems.append(f"{SIGNATURE}: not the signature that {tag} was released with")
        try:
            signer = check_signature(committed.encode(), signature.encode(), allowed_signers)
        except VoxledgerError as error:
            problems.append(error.problem)
    elif allowed_signers is not None:
        problems.append(f"{SIGNATURE}: missing, the release is not signed")
    manifest = read_manifest(committed)
    listed: dict[str, str] = manifest["files"]
    problems += _check_files(listed, manifest["folders"])
    cases = read_cases() if not any(p.startswith("data/cases.csv") for p in problems) else []
    named = {p.split(":")[0] for p in problems}
    problems += [
        f"{name}: not the file that {tag} holds"
        for name in git("-c", "core.quotePath=false", "diff", "--name-only", tag).splitlines()
        if name not in named
    ]
    problems += _check_images(cases)
    masks, mask_problems = _check_masks(cases, {p.split(":")[0] for p in problems})
    problems += mask_problems
    tag_signature, tag_problems = _tag_signature(tag, allowed_signers)
    return Verdict(tag, len(listed), masks, signer, tag_signature, problems + tag_problems)


def _check_files(listed: dict[str, str], folders: list[str]) -> list[str]:
    problems = []
    bar = progress("verify files", len(listed))
    for name, digest in sorted(listed.items()):
        if not Path(name).is_file():
            problems.append(f"{name}: missing (run `dvc pull`; if it stays away, it was removed)")
        elif file_sha256(name) != digest:
            problems.append(f"{name}: altered, its SHA-256 is not the one in the manifest")
        bar.step(name)
    bar.close()
    extra = sorted(set(files_of_version(folders)) - set(listed))
    return problems + [f"{name}: not part of the version" for name in extra]


def _check_images(cases: list[Case]) -> list[str]:
    problems = []
    for case in cases:
        if not Path(case.image).is_file():
            problems.append(f"{case.image}: missing (run `dvc pull`)")
        elif file_sha256(case.image) != case.sha256:
            problems.append(f"{case.image}: altered, its SHA-256 is not the one in data/cases.csv")
    return problems


def _check_masks(cases: list[Case], altered: set[str]) -> tuple[int, list[str]]:
    """Every mask against its hash in the ledger; files already known to be altered are passed over."""
    if altered & {"data/release/ledger.csv", "labels.yaml", "data/cases.csv"}:
        return 0, []
    schema, ledger = read_schema("labels.yaml"), read_ledger("data/release/ledger.csv")
    images = {c.case_id: c.image for c in cases}
    problems, checked = [], 0
    by_case: dict[str, dict[str, str]] = {}
    for (case_id, class_name), entry in ledger.items():
        by_case.setdefault(case_id, {})[class_name] = entry.mask_sha256
    bar = progress("verify masks", len(by_case))
    for case_id, hashes in sorted(by_case.items()):
        path = f"data/release/labels/{case_id}.nii.gz"
        if path not in altered and images.get(case_id) not in altered:
            checked += len(hashes)
            problems += [
                f"{path}: class {name} is not the mask that the ledger names"
                for name in differing_masks(schema, images[case_id], path, hashes)
            ]
        bar.step(case_id)
    bar.close()
    return checked, problems


def _tag_signature(tag: str, allowed_signers: Path | None) -> tuple[str, list[str]]:
    if "-----BEGIN SSH SIGNATURE-----" not in git("cat-file", "-p", f"refs/tags/{tag}", check=False):
        return "not signed", []
    if allowed_signers is None:
        return "signed, not checked", []
    config = f"gpg.ssh.allowedSignersFile={allowed_signers.resolve()}"
    done = run_tool("git", "-c", config, "verify-tag", tag)
    if done.returncode == 0:
        return "good", []
    return "bad", [f"tag {tag}: its signature is not by anybody in {allowed_signers}"]
