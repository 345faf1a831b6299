"""Signatures of the reviews that a version keeps, as an auditor checks them years later."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from small_round import GRID, Repo, anatomy, template

from voxledger.bundles.context import Context
from voxledger.imaging.volume import file_sha256, write
from voxledger.records.ledger import Ledger, Signature, read_ledger
from voxledger.records.manifest import Manifest
from voxledger.records.reviewers import parse_reviewers
from voxledger.records.signature import note_receipt
from voxledger.release.files_check import Findings
from voxledger.release.reviews_check import Reviews, check_reviews
from voxledger.review.sign import sign_return
from voxledger.signing import fingerprint, sign

__all__ = ["template"]

CAME = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
NAMES = ("alice", "bob", "mallory")


@dataclass(frozen=True)
class World:
    """A version with two reviews, alice's signed and bob's not, and keys."""

    root: Path
    public: dict[str, str]

    def print(self, name: str) -> str:
        return fingerprint(self.public[name].split()[1])

    def trusted(self, *lines: str) -> Path:
        """A file of the auditor's; `{alice}` stands for her key."""
        file = self.root / "trusted"
        file.write_text("".join(f"{line.format(**self.public)}\n" for line in lines))
        return file


@pytest.fixture(scope="module")
def world(template: Repo, tmp_path_factory: pytest.TempPathFactory) -> World:
    root, public = tmp_path_factory.mktemp("version"), {}
    for name in NAMES:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(root / name)]
        subprocess.run(command, check=True)
        public[name] = (root / f"{name}.pub").read_text().strip()
    shutil.copytree(template.root / "data", root / "repo/data")
    with contextlib.chdir(root / "repo"):
        keys = "".join(f"  {name}: {{keys: [{{key: {public[name]}}}]}}\n" for name in ("alice", "bob"))
        Path("reviewers.yaml").write_text(f"reviewers:\n{keys}")
        repo = Repo(root / "repo", cases=list(template.cases), predicted=list(template.predicted))
        repo.context = Context(reviewers=parse_reviewers(Path("reviewers.yaml").read_text(), "reviewers.yaml"))
        repo.export(("case_1", "pancreas", "alice"), ("case_2", "liver", "alice"), ("case_3", "liver", "bob"))
        labels = repo.shown("alice", "case_2").copy()
        labels[1, 1, 1] = 0
        folder = repo.give_back("alice", {"case_2": labels}, case_2={"liver": "revise"})
        sign_return(folder, root / "alice")
        note_receipt(folder, CAME)
        repo.give_back("bob")
        repo.gate()
        repo.take_in()
    return World(root, public)


@pytest.fixture
def revision(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where alice's return lies in a copy of the version, which is the current folder."""
    shutil.copytree(world.root / "repo", tmp_path / "repo")
    monkeypatch.chdir(tmp_path / "repo")
    (found,) = (p.parent for p in Path("data/release/revisions").glob("*/return.sha256"))
    return found


def check(trusted: Path | None = None, required: bool = False, ledger: Ledger | None = None) -> Reviews:
    """Of a version whose manifest was made anew, as whoever holds the curator's key can."""
    files = {p.as_posix(): file_sha256(p) for p in sorted(Path("data").rglob("*")) if p.is_file()}
    manifest = Manifest("atlas", 1, "v1.0.0", files)
    return check_reviews(Findings(), manifest, ledger or read_ledger("data/release/ledger.csv"), required, trusted)


ALICE = 'alice namespaces="voxledger-review" {alice}'


def test_who_signed_is_known_years_later(world: World, revision: Path) -> None:
    signature = Signature(world.print("alice"), "2026-03-01T12:30:00+00:00")
    for trusted, keys in ((None, "reviewers.yaml"), (world.trusted(ALICE), str(world.root / "trusted"))):
        found = check(trusted)
        assert (found.problems, found.notes, found.keys) == ([], [], keys)
        assert {r.reviewer: r.signatures for r in found.reviews} == {"alice": (str(signature),), "bob": ()}
    ledger = read_ledger("data/release/ledger.csv")
    assert {e.reviewer: e.signatures for e in ledger.values() if e.bundle} == {"alice": (signature,), "bob": ()}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["bob {bob}"], "is by the key {alice}, which is nobody's in "),
        (["bob {alice}"], "is by a key of bob, {alice}, and the review is alice's"),
        (['alice namespaces="voxledger-release,voxledger-r*" {bob}'], "is by the key {alice}, which is nobody's in "),
        (['alice namespaces="git" {alice}', "bob {bob}"], "is by a key of alice, {alice}, that "),
        (['alice valid-before="20260301" {alice}'], "key has expired"),
        (['alice valid-after="20260302" {alice}'], "key is not yet valid"),
        (['alice valid-before="20260301" {alice}', "alice {bob}"], "does not trust when it came, 2026-03-01 12:30 UTC"),
    ],
)
def test_keys_of_the_auditor_decide(world: World, revision: Path, lines: list[str], said: str) -> None:
    (problem,) = check(world.trusted(*lines)).problems
    assert problem.startswith(f"{revision}/return.sha256.sig: ")
    assert said.format(alice=world.print("alice")) in problem


@pytest.mark.parametrize(
    "lines",
    [
        ['alice valid-after="20260228",valid-before="20260303" {alice}'],
        ['alice valid-before="20250101" {alice}', "alice {alice}"],
        ["bob {bob}", ALICE],
        ["* {alice}"],
    ],
)
def test_keys_of_the_auditor_that_were_valid(world: World, revision: Path, lines: list[str]) -> None:
    assert check(world.trusted(*lines)).problems == []


def test_an_auditor_without_keys_of_reviewers_is_told_so(world: World, revision: Path) -> None:
    found = check(world.trusted('curator namespaces="voxledger-release,git" {bob}'))
    assert found.problems == []
    assert found.keys == ""
    assert "trusts no key for voxledger-review, so it was not looked at who signed reviews" in found.notes[0]


def label(folder: Path) -> Path:
    return folder / "labels/case_2.nii.gz"


def exchange(folder: Path) -> None:
    label(folder).unlink()
    write(label(folder), anatomy(), GRID)


def keys_of_its_own(folder: Path, world: World) -> None:
    """A whole forgery: label, list, signature and the repository's own list of keys fit one another."""
    exchange(folder)
    sign_return(folder, world.root / "mallory")
    Path("reviewers.yaml").write_text(f"reviewers:\n  alice: {{keys: [{{key: {world.public['mallory']}}}]}}\n")


TAMPERED: dict[str, tuple[Callable[[Path, World], object], str]] = {
    "a label": (lambda f, w: exchange(f), "labels/case_2.nii.gz: was changed after signing"),
    "a decision": (
        lambda f, w: (f / "decisions.csv").write_text((f / "decisions.csv").read_text().replace("revise", "accept")),
        "decisions.csv: was changed after signing",
    ),
    "the return as a whole": (lambda f, w: exchange(f), "holds another return than its name says"),
    "signed by somebody else": (
        lambda f, w: sign(f / "return.sha256", str(w.root / "bob"), "voxledger-review"),
        "is by ",
    ),
    "signed for another purpose": (
        lambda f, w: sign(f / "return.sha256", str(w.root / "alice"), "voxledger-release"),
        "was made for the namespace 'voxledger-release'",
    ),
    "the signature was taken away": (
        lambda f, w: [(f / name).unlink() for name in ("return.sha256", "return.sha256.sig", "receipt.json")],
        "says that it was signed with ",
    ),
    "the time of receipt": (
        lambda f, w: note_receipt(f, datetime(2020, 1, 1, tzinfo=UTC)),
        "says that it was signed with ",
    ),
    "no time of receipt": (lambda f, w: (f / "receipt.json").unlink(), "nobody noted when"),
    "the whole return was taken away": (
        lambda f, w: shutil.rmtree(f),
        "is of a signed return that is not in the version",
    ),
    "its packing list was taken away": (
        lambda f, w: (f / "bundle.json").unlink(),
        "is signed, but holds no bundle.json that can be read",
    ),
    "everything, and the list of keys": (keys_of_its_own, "is by the key "),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_altered_since_is_named_whoever_made_the_manifest(world: World, revision: Path, name: str) -> None:
    change, said = TAMPERED[name]
    change(revision, world)
    assert any(said in problem for problem in check(world.trusted(ALICE)).problems)
    by_itself = check()
    assert by_itself.problems
    assert not any(review.signatures for review in by_itself.reviews)


def test_a_return_of_before_that_was_not_signed_is_no_fault(world: World, revision: Path) -> None:
    """`review.require_signature` speaks of the round in which it stands."""
    assert check(world.trusted(ALICE)).problems == []
    (problem,) = check(world.trusted(ALICE), required=True).problems
    assert problem.endswith("return.sha256: missing, and review.require_signature asks bob to sign")


def test_reviews_of_earlier_rounds_are_checked_in_later_ones(world: World, revision: Path, template: Repo) -> None:
    repo = Repo(Path.cwd(), cases=list(template.cases), predicted=list(template.predicted))
    repo.next_round()
    repo.gate()
    ledger = repo.take_in()
    assert {e.signatures[0].key for e in ledger.values() if e.reviewer == "alice"} == {world.print("alice")}
    assert check(world.trusted(ALICE)).problems == []
    exchange(revision)
    assert any("was changed after signing" in problem for problem in check(world.trusted(ALICE)).problems)


def test_a_ledger_that_says_too_much_is_named(world: World, revision: Path) -> None:
    ledger = read_ledger("data/release/ledger.csv")
    key, entry = next((k, e) for k, e in ledger.items() if e.reviewer == "bob")
    more = replace(entry, signatures=(Signature(world.print("bob"), "2026-03-01T12:30:00+00:00"),))
    (problem,) = check(ledger={**ledger, key: more}).problems
    assert f"class {key[1]} says that it was signed with {world.print('bob')}, which is not what " in problem


def by_hand(world: World, revision: Path, who: str) -> subprocess.CompletedProcess[str]:
    """Run what docs/auditors.md does without voxledger."""
    page = (Path(__file__).parents[2] / "docs/auditors.md").read_text()
    commands = page.split("### Who signed the reviews?")[1].split("```sh\n")[1].split("```")[0]
    for name, value in (("SIGNERS", str(world.trusted('alice valid-before="20260302" {alice}'))), ("WHO", who)):
        commands, count = re.subn(f"^{name}=.*$", f"{name}={value}", commands, flags=re.MULTILINE)
        assert count == 1
    return subprocess.run(["sh", "-ec", commands], cwd=revision, capture_output=True, text=True, check=False)


def test_the_page_checks_a_review_without_voxledger(world: World, revision: Path) -> None:
    done = by_hand(world, revision, "alice")
    assert done.returncode == 0, done.stderr
    assert "labels/case_2.nii.gz: OK" in done.stdout
    assert by_hand(world, revision, "bob").returncode != 0
    exchange(revision)
    assert "labels/case_2.nii.gz: FAILED" in by_hand(world, revision, "alice").stdout
    note_receipt(revision, datetime(2026, 3, 3, tzinfo=UTC))
    assert by_hand(world, revision, "alice").returncode != 0
