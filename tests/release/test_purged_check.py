"""What a list of withdrawn files excuses, and what hostile ones do not: real keys, a version of two patients."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import run

from voxledger import layout
from voxledger.records.cases import Case, Split, write_cases
from voxledger.records.manifest import Manifest
from voxledger.records.purged import Purged, Removed, file_digest, write_purged
from voxledger.release.files_check import Findings
from voxledger.release.purged_check import Withdrawals, check_withdrawals
from voxledger.signing import RELEASE, WITHDRAWAL, sign

PATIENTS = {"p1": "a", "p1b": "a", "p10": "b"}
FILES = {f"{folder}/{case}.nii.gz": f"{case}-{folder}" for case in PATIENTS for folder in ("data/images", "data/weak")}
MANIFEST = Manifest("one", 0, "v0.0.0", FILES | {layout.SCHEMA.as_posix(): "s"})
MINE = sorted(name for name in FILES if "p10" not in name)


@pytest.fixture
def keys(folder: Path) -> Path:
    """A curator, who may withdraw, and a stranger, and one who may only release."""
    lines = []
    for name, namespaces in (("curator", f"{WITHDRAWAL},{RELEASE}"), ("releaser", RELEASE), ("stranger", "")):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", name)
        if namespaces:
            lines.append(f'{name} namespaces="{namespaces}" {Path(f"{name}.pub").read_text()}')
    Path("signers").write_text("".join(lines))
    write_cases(
        layout.CASES,
        [
            Case(c, f"data/images/{c}.nii.gz", "0", "", "s", "", Split.POOL, "CT", "", patient)
            for c, patient in PATIENTS.items()
        ],
    )
    return folder


def listed(names: list[str], dataset: str = "one", key: str = "curator", namespace: str = WITHDRAWAL) -> Path:
    digests = tuple(sorted(file_digest(name, MANIFEST.files[name]) for name in names))
    removed = Removed(date="2026-03-01", files=digests, objects=())
    write_purged(Purged(dataset=dataset, patients={"w-0": removed}), Path("purged.json"))
    sign(Path("purged.json"), key, namespace)
    return Path("purged.json")


def check(path: Path, missing: list[str]) -> tuple[Withdrawals, Findings]:
    found = Findings(missing=list(missing), unusable=set(missing))
    return check_withdrawals(found, MANIFEST, path, Path("signers")), found


def test_what_was_withdrawn_is_told_from_what_was_lost(keys: Path) -> None:
    said, found = check(listed(MINE), [*MINE, "data/images/p10.nii.gz"])
    assert (list(said.files), said.problems, said.notes) == (MINE, [], [])
    assert found.missing == ["data/images/p10.nii.gz"]


def test_what_is_here_all_the_same_is_noted(keys: Path) -> None:
    said, found = check(listed(MINE), MINE[1:])
    assert (list(said.files), found.missing) == (MINE[1:], [])
    assert said.notes == [f"1 files are here that were withdrawn, the first is {MINE[0]}: remove them"]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: listed(MINE, key="stranger"), "is not signed by anybody in signers"),
        (lambda: listed(MINE, key="releaser"), "is not signed by anybody in signers"),
        (lambda: listed(MINE, namespace=RELEASE), "is not signed by anybody in signers"),
        (lambda: listed(MINE, dataset="two"), "is of the dataset two, not of one"),
        (lambda: listed(list(FILES)), "names files of 2 patients as those of one"),
        (lambda: listed([*MINE, layout.SCHEMA.as_posix()]), "names labels.yaml, which is no patient's alone"),
    ],
)
def test_no_other_list_excuses_anything(keys: Path, make: object, problem: str) -> None:
    said, found = check(make(), list(FILES))  # type: ignore[operator]
    assert said.files == {}
    assert len(said.problems) == 1
    assert problem in said.problems[0]
    assert found.missing == list(FILES)


@pytest.mark.parametrize("damage", ["altered", "unsigned", "no json"])
def test_a_damaged_list_excuses_nothing(keys: Path, damage: str) -> None:
    path = listed(MINE[:1])
    if damage == "altered":
        path.write_text(path.read_text().replace("2026", "2027"))
    elif damage == "unsigned":
        Path("purged.json.sig").unlink()
    else:
        path.write_text("{")
        Path("purged.json.sig").unlink()
        sign(path, "curator", WITHDRAWAL)
    said, found = check(path, MINE)
    assert (said.files, len(said.problems), found.missing) == ({}, 1, MINE)


def test_keys_that_may_not_withdraw_are_named_as_the_reason(keys: Path) -> None:
    line = next(line for line in Path("signers").read_text().splitlines() if line.startswith("releaser"))
    Path("signers").write_text(f"{line}\n")
    said, _ = check(listed(MINE), MINE)
    assert f"which trusts no key for {WITHDRAWAL}" in said.problems[0]
