"""A repository with an older version of which one patient was withdrawn since, with texts as its files."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from commands import run

from voxledger import layout
from voxledger.cli.demo import set_parameters
from voxledger.imaging.volume import file_sha256
from voxledger.records.cases import Case, Split, write_cases
from voxledger.records.manifest import Manifest, write_manifest
from voxledger.records.pseudonyms import Pseudonyms, open_pseudonyms
from voxledger.records.withdrawn import Withdrawn, cases_of, patients_of, write_withdrawn

PATIENTS = {"p1": "pat1", "p1_heat": "pat1", "p10": "pat10", "p2": "pat2"}
MINE = {"p1", "p1_heat"}
FILES = {
    **{f"data/images/{case}.nii.gz": f"image of {case}" for case in PATIENTS},
    **{f"data/weak/{case}.nii.gz": "nothing" for case in ("p1", "p2")},
    "data/inbox/bundle-r00-ann/bundle.json": "p1 and p10",
    **{f"data/inbox/bundle-r00-ann/labels/{case}/organ.nrrd": f"label of {case}" for case in ("p1", "p10")},
}
FOLDERS = ("data/images", "data/weak", "data/inbox/bundle-r00-ann")
GONE = {"image of p1", "image of p1_heat", "label of p1"}
STAYS = set(FILES.values()) - GONE


def build(root: Path) -> None:
    """Make it: the row of the withdrawal of pat1 is committed, nothing is purged."""
    for name in ("curator", "stranger"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(root / name))
    run("voxledger", "init", str(root / "repo"), "--name", "one")
    with contextlib.chdir(root / "repo"):
        run("git", "config", "gpg.format", "ssh")
        run("git", "config", "user.signingkey", "../curator")
        run("dvc", "remote", "add", "--quiet", "--default", "store", "../store")
        for name, text in FILES.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text)
        write_cases(layout.CASES, map(case, PATIENTS))
        write_manifest(layout.MANIFEST, Manifest("one", 0, "v0.0.0", {n: file_sha256(n) for n in FILES}))
        run("dvc", "add", "--quiet", *FOLDERS)
        run("git", "add", "--all")
        run("git", "commit", "--quiet", "--message", "Close round 0")
        run("git", "tag", "round-00")
        run("dvc", "push", "--quiet")
        for name in [*(n for n in FILES if "/p1" in n and "p10" not in n), str(layout.MANIFEST)]:
            Path(name).unlink()
        shutil.rmtree("data/inbox/bundle-r00-ann")
        Path("data/inbox/bundle-r00-ann.dvc").unlink()
        run("dvc", "add", "--quiet", *FOLDERS[:2])
        write_cases(layout.CASES, (case(c) for c in PATIENTS if c not in MINE))
        set_parameters({"round": 1})
        key = open_pseudonyms(root / "keys", Path.cwd())
        names = tuple(map(cases_of(key), sorted(MINE)))
        write_withdrawn([Withdrawn(patients_of(key)("pat1"), names, 1, "test", "2026-03-01", "asked")])
        run("git", "add", "--all")
        run("git", "commit", "--quiet", "--message", "Withdraw a patient")
        run("dvc", "push", "--quiet")


def case(case_id: str, patient: str = "") -> Case:
    image = f"data/images/{case_id}.nii.gz"
    return Case(case_id, image, "0" * 64, "", "made", "CC0-1.0", Split.POOL, "CT", "", patient or PATIENTS[case_id])


def key(root: Path) -> Pseudonyms:
    return open_pseudonyms(root / "keys", root / "repo")


def contents(store: Path) -> set[str]:
    """What the objects of a store hold, but lists of folders."""
    return {p.read_text() for p in store.rglob("*") if p.is_file() and p.suffix != ".dir"}
