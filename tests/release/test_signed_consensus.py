"""Classes that several readers settled together, whose returns are signed or not."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from small_round import Repo, repo, template

from voxledger.bundles.context import Context
from voxledger.imaging.volume import file_sha256
from voxledger.records.ledger import Ledger, Signature, read_ledger
from voxledger.records.manifest import Manifest
from voxledger.records.reviewers import parse_reviewers
from voxledger.records.signature import note_receipt
from voxledger.release.files_check import Findings
from voxledger.release.reviews_check import check_reviews
from voxledger.review.sign import sign_return
from voxledger.signing import fingerprint

__all__ = ["repo", "template"]

CAME = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
LEDGER = "data/release/ledger.csv"


def read_by_two(repo: Repo, place: Path, *signing: str) -> dict[str, str]:
    """Play a round in which alice and bob read a class; the fingerprints of their keys."""
    keys = {}
    for name in ("alice", "bob"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)], check=True)
        keys[name] = " ".join((place / f"{name}.pub").read_text().split()[:2])
    listed = "".join(f"  {name}: {{keys: [{{key: {key}}}]}}\n" for name, key in keys.items())
    Path("reviewers.yaml").write_text(f"reviewers:\n{listed}")
    repo.context = Context(reviewers=parse_reviewers(Path("reviewers.yaml").read_text(), "reviewers.yaml"))
    repo.export(("case_1", "pancreas", "alice"), ("case_1", "pancreas", "bob"), readers=2)
    for name in keys:
        folder = repo.give_back(name, None, case_1={"pancreas": "accept"})
        if name in signing:
            sign_return(folder, place / name)
            note_receipt(folder, CAME)
    repo.gate()
    repo.take_in()
    return {name: fingerprint(key.split()[1]) for name, key in keys.items()}


def problems(ledger: Ledger | None = None) -> list[str]:
    files = {p.as_posix(): file_sha256(p) for p in sorted(Path("data").rglob("*")) if p.is_file()}
    manifest = Manifest("atlas", 1, "v1.0.0", files)
    return check_reviews(Findings(), manifest, ledger or read_ledger(LEDGER), False, None).problems


@pytest.mark.parametrize("signing", [(), ("alice",), ("alice", "bob")])
def test_a_consensus_is_signed_if_every_reader_signed(repo: Repo, tmp_path: Path, signing: tuple[str, ...]) -> None:
    prints = read_by_two(repo, tmp_path, *signing)
    entry = read_ledger(LEDGER)["case_1", "pancreas"]
    assert entry.reviewer == "alice+bob"
    wanted = sorted(prints.values()) if len(signing) == 2 else []
    assert [s.key for s in entry.signatures] == wanted
    assert problems() == []


def test_a_ledger_that_says_something_else_of_a_consensus_is_named(repo: Repo, tmp_path: Path) -> None:
    prints = read_by_two(repo, tmp_path, "alice", "bob")
    ledger = read_ledger(LEDGER)
    key, entry = ("case_1", "pancreas"), ledger["case_1", "pancreas"]
    for signatures in ((), entry.signatures[:1], (Signature(prints["bob"], "2026-03-02T12:30:00+00:00"),)):
        (problem,) = problems({**ledger, key: replace(entry, signatures=signatures)})
        assert "case case_1, class pancreas says that it was " in problem
        assert problem.endswith("which is not what the returns of its readers hold")
    (problem,) = problems({**ledger, key: replace(entry, bundle="e" * 64)})
    assert problem.endswith("is of a signed return that is not in the version")
