"""A round whose returns are signed, with real keys, git and DVC: receive, gate, ledger, trace and verify."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run

from voxledger.imaging.volume import Grid, write

GRID = Grid.plain((8, 12, 10), (3.0, 1.5, 1.5))
RECIPE = """
find bundle.json decisions* labels -type f -exec sha256sum {} + > return.sha256
ssh-keygen -q -Y sign -f "$KEY" -n voxledger-review return.sha256
"""
"""As docs/reviewers.md has it."""

pytestmark = pytest.mark.slow


def key(root: Path, name: str) -> str:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(root / name))
    return (root / f"{name}.pub").read_text().strip()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`repo`, whose round 0 waits for ann and ben, and `returns` with what they send back, not signed yet."""
    root = tmp_path_factory.mktemp("signed")
    for n in range(6):
        labels = np.zeros(GRID.shape, np.uint8)
        labels[1:6, 2 : 8 + n % 3, 2:8] = 1
        noise = np.random.default_rng(n).normal(0, 10, GRID.shape)
        write(root / f"images/case{n}.nii.gz", (labels * 100 + noise).astype(np.int16), GRID)
        write(root / f"reference/case{n}.nii.gz", labels, GRID)
        write(root / f"m/case{n}.nii.gz", labels, GRID)
        if n < 3:
            write(root / f"labels/case{n}.nii.gz", labels, GRID)
    keys = {name: key(root, name) for name in ("ann", "ben", "curator")}
    run("voxledger", "init", str(root / "repo"), "--name", "one")
    with contextlib.chdir(root / "repo"):
        run("git", "config", "gpg.format", "ssh")
        run("git", "config", "user.signingkey", str(root / "curator"))
        Path("labels.yaml").write_text("name: one\nclasses:\n  - {id: 1, name: organ}\n")
        Path("reviewers.yaml").write_text(
            "reviewers:\n"
            f"  ann: {{affiliation: Example Hospital, qualification: radiologist, keys: [{{key: {keys['ann']}}}]}}\n"
            f"  ben: {{keys: [{{key: {keys['ben']}, from: 2020-01-01}}]}}\n"
        )
        parameters(
            score={"budget": 2, "audit": 0},
            export={"reviewers": ["ann", "ben"]},
            review={"require_signature": True},
            cases={"calibration": 0, "test": 0.3},
        )
        run("dvc", "remote", "add", "--default", "store", str(root / "store"))
        run("git", "commit", "--quiet", "--all", "--message", "Reviewers sign")
        run("voxledger", "cases", "add", str(root / "images"), "--labels", str(root / "labels"))
        declared = ("--id", "m-1", "--licence", "CC0-1.0")
        run("voxledger", "models", "add", "m", "--predictions", str(root / "m"), *declared)
        run("voxledger", "round", "run", accept=(3,))
        run("voxledger", "review", "emulate", "--reference", str(root / "reference"), "--inbox", str(root / "returns"))
    return root


@pytest.fixture(scope="module")
def closed(world: Path) -> Path:
    """A clone of the closed round with its data; both returns are signed, one by a plain shell."""
    ann, ben = (world / f"returns/bundle-r00-{name}" for name in ("ann", "ben"))
    with contextlib.chdir(world / "repo"):
        said = run("voxledger", "review", "receive", str(ann), accept=(3,))
        assert "return.sha256: is not signed, and review.require_signature asks for it" in said
        assert "bundle-r00-ann: incomplete" in said
        said = run("voxledger", "round", "run", accept=(3,))
        assert "is not signed" in said
        subprocess.run(
            ["sh", "-ec", RECIPE], cwd=ann, env={"KEY": str(world / "ann"), "PATH": "/usr/bin:/bin"}, check=True
        )
        said = run("voxledger", "review", "receive", str(ann))
        assert "bundle-r00-ann: complete, 1 of 1 decisions on 1 cases, signed with SHA256:" in said
        assert "3 files signed" in run("voxledger", "review", "sign", str(ben), "--key", str(world / "ben"))
        shutil.make_archive(str(world / "ben-returned"), "zip", ben)
        run("voxledger", "review", "receive", str(world / "ben-returned.zip"))
        run("voxledger", "round", "run")
        run("voxledger", "round", "close")
    run("git", "clone", "--quiet", "--depth", "1", "--branch", "round-00", f"file://{world}/repo", str(world / "check"))
    run("dvc", "pull", "--quiet", cwd=world / "check")
    return world / "check"


def fingerprint(root: Path, name: str) -> str:
    return output("ssh-keygen", "-l", "-f", str(root / f"{name}.pub")).split()[1]


def test_the_ledger_and_the_trace_say_who_signed(world: Path, closed: Path) -> None:
    with contextlib.chdir(closed), open("data/release/ledger.csv", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["reviewer"]]
        assert sorted(row["reviewer"] for row in rows) == ["ann", "ben"]
        for row in rows:
            assert row["signatures"].partition("@")[0] == fingerprint(world, row["reviewer"])
            signed, listed = fingerprint(world, row["reviewer"]), {"ann": " (Example Hospital, radiologist)", "ben": ""}
            said = output("voxledger", "trace", row["case_id"])
            assert f"  signed  {signed}{listed[row['reviewer']]}, received 20" in said
            (told,) = json.loads(output("voxledger", "trace", row["case_id"], "--json"))["classes"]
            assert [s["key"] for s in told["signatures"]] == [signed]
        received = json.loads(Path("data/round/received.json").read_text())["bundles"]
        assert [b["signatures"] for b in received] == [
            [row["signatures"]] for row in sorted(rows, key=lambda r: r["reviewer"])
        ]


CURATOR = 'curator namespaces="voxledger-release,git" {curator}\n'
ANN, BEN = (
    '{0} namespaces="voxledger-review"{1} {{{0}}}\n'.format(name, "{" + name + "_when}") for name in ("ann", "ben")
)


@pytest.mark.parametrize(
    ("lines", "when", "code", "said"),
    [
        (None, {}, 0, "reviews signed: 2 of 2, by ann, ben; by the version's own reviewers.yaml, which proves nothing"),
        (CURATOR + ANN + BEN, {}, 0, "reviews signed: 2 of 2, by ann, ben; by the keys in "),
        (CURATOR, {}, 0, "trusts no key for voxledger-review, so it was not looked at who signed reviews"),
        (CURATOR + ANN, {}, 1, "return.sha256.sig: is by the key {ben_print}, which is nobody's in "),
        (CURATOR + ANN.replace("ann ", "ben ", 1), {}, 1, "is by a key of ben, {ann_print}, and the review is ann's"),
        (CURATOR + ANN + BEN, {"ann": ',valid-before="20200101"'}, 1, "is by a key of ann, {ann_print}, that "),
        (CURATOR + ANN + BEN, {"ann": ',valid-before="20200101"'}, 1, "key has expired"),
        (CURATOR + ANN + BEN, {"ben": ',valid-after="21000101"'}, 1, "key is not yet valid"),
    ],
)
def test_verify_goes_by_the_keys_of_the_auditor(
    world: Path, closed: Path, lines: str | None, when: dict[str, str], code: int, said: str
) -> None:
    names = ("ann", "ben", "curator")
    values = {n: (world / f"{n}.pub").read_text().strip() for n in names}
    values |= {f"{n}_when": when.get(n, "") for n in names} | {f"{n}_print": fingerprint(world, n) for n in names}
    given: tuple[str, ...] = ()
    if lines is not None:
        (world / "trusted").write_text(lines.format(**values))
        given = ("--allowed-signers", str(world / "trusted"))
    told = run("voxledger", "verify", "round-00", *given, accept=(code,), cwd=closed)
    assert said.format(**values) in told
    assert ("DO NOT USE" if code else "intact") in told.splitlines()


def test_what_the_repository_claims_is_exported_for_auditors(world: Path, closed: Path) -> None:
    claimed = output("voxledger", "review", "reviewers", "--allowed-signers", cwd=closed)
    (world / "claimed").write_text(CURATOR.format(curator=(world / "curator.pub").read_text().strip()) + claimed)
    said = run("voxledger", "verify", "round-00", "--allowed-signers", str(world / "claimed"), cwd=closed)
    assert "reviews signed: 2 of 2, by ann, ben; by the keys in " in said


def test_a_label_changed_after_signing_is_named(world: Path, closed: Path) -> None:
    label = next(closed.glob("data/release/revisions/*/labels/*.nii.gz"))
    before = label.read_bytes()
    label.unlink()
    label.write_bytes(before + b"\0")
    try:
        assert "altered" in run("voxledger", "verify", "round-00", accept=(1,), cwd=closed)
    finally:
        label.unlink()
        label.write_bytes(before)
