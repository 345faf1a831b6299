"""The manifest of a version: SHA-256 of every file that makes it, signed with an ssh key."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxledger.errors import VoxledgerError
from voxledger.release.environment import environment
from voxledger.release.times import now, run_of, times_of
from voxledger.repository import run_tool
from voxledger.table import replace_text
from voxledger.volume import file_sha256

MANIFEST = Path("data/release/manifest.json")
SIGNATURE = Path("data/release/manifest.json.sig")
NAMESPACE = "voxledger-release"
"""Keeps a key that signs reviews, or anything else, from signing a release."""

FOLDERS = (
    "data/base",
    "data/inbox",
    "data/release/labels",
    "data/release/revisions",
    "data/times",
    "data/weak",
    "models/base",
    "models/next",
    "stages",
)
FILES = (
    "data/release/ledger.csv",
    "data/cases.csv",
    "data/round/cohort.csv",
    "data/round/decisions.csv",
    "data/round/received.json",
    "models/next.json",
    "labels.yaml",
    "params.yaml",
    "dvc.yaml",
    "dvc.lock",
    "reports/metrics.json",
)


def files_of_version(folders: Sequence[str] = FOLDERS) -> list[str]:
    """Every file of the version in the working tree, sorted."""
    found = [name for name in FILES if Path(name).is_file()]
    for folder in folders:
        found += [p.as_posix() for p in Path(folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    return sorted(set(found))


def write_manifest(dataset: str, round_number: int, release: str) -> None:
    """Write the manifest of the working tree: its files, with what it was made, and when."""
    manifest = {
        "dataset": dataset,
        "round": round_number,
        "version": release,
        "closed": {"at": now(), "environment": environment()},
        "ran": run_of(round_number),
        "times": times_of(round_number),
        "folders": FOLDERS,
        "files": {name: file_sha256(name) for name in files_of_version()},
    }
    replace_text(MANIFEST, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    SIGNATURE.unlink(missing_ok=True)


def sign_manifest(key: str) -> None:
    """Sign the manifest with an ssh key file."""
    done = run_tool("ssh-keygen", "-Y", "sign", "-f", key, "-n", NAMESPACE, str(MANIFEST))
    if done.returncode != 0:
        raise VoxledgerError(
            f"the manifest could not be signed with {key}: {done.stderr.decode(errors='replace').strip()}",
            "check `git config user.signingkey`; a key with a passphrase needs a running ssh-agent",
        )


def check_signature(manifest: bytes, signature: bytes, allowed_signers: Path | None) -> str:
    """Who signed a manifest; without `allowed_signers` only that the signature fits is known.

    Raises
    ------
    VoxledgerError
        The signature does not fit the manifest, or nobody in `allowed_signers` made it.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "manifest.sig"
        file.write_bytes(signature)
        check = ["ssh-keygen", "-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(file)]
        if allowed_signers is None:
            if _ssh_keygen(check, manifest) is None:
                raise VoxledgerError(f"{SIGNATURE} does not fit {MANIFEST}", "one of them was altered: do not use it")
            return "somebody (give --allowed-signers FILE to check who)"
        find = ["ssh-keygen", "-Y", "find-principals", "-s", str(file), "-f", str(allowed_signers)]
        principals = (_ssh_keygen(find, b"") or "").split()
        for who in principals:
            verify = ["ssh-keygen", "-Y", "verify", "-f", str(allowed_signers), "-I", who, "-n", NAMESPACE]
            if _ssh_keygen([*verify, "-s", str(file)], manifest) is not None:
                return who
    raise VoxledgerError(
        f"{MANIFEST} is not signed by anybody in {allowed_signers}", "the manifest or the signature was altered"
    )


def read_manifest(text: str) -> dict[str, Any]:
    """Parse a manifest."""
    try:
        manifest: dict[str, Any] = json.loads(text)
        if not isinstance(manifest["files"], dict) or not isinstance(manifest["folders"], list):
            raise ValueError("no files or folders")
    except (ValueError, KeyError, TypeError) as error:
        raise VoxledgerError(f"{MANIFEST} is damaged: {error}", "restore it from git") from None
    return manifest


def _ssh_keygen(command: list[str], text: bytes) -> str | None:
    done = run_tool(*command, text=text)
    return done.stdout.decode() if done.returncode == 0 else None
