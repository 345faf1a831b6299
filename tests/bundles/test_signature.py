"""Signatures of returns, by real keys: what counts, and every way in which one does not, with its remedy."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from small_round import GRID, Repo, anatomy

from voxledger.bundles.context import Context
from voxledger.bundles.inbox import look_into
from voxledger.bundles.returned import Return
from voxledger.imaging.volume import write
from voxledger.params import ReviewParams
from voxledger.records.reviewers import Reviewers, parse_reviewers
from voxledger.records.signature import list_content, note_receipt
from voxledger.review.sign import sign_return
from voxledger.signing import fingerprint, sign

CAME = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
NAMES = ("alice", "alice2", "bob", "mallory")


@dataclass(frozen=True)
class World:
    """A round of which alice sent her bundle back, signed, and keys."""

    root: Path
    public: dict[str, str]

    def print(self, name: str) -> str:
        return fingerprint(self.public[name].split()[1])


@pytest.fixture(scope="module")
def world(template: Repo, tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("signed")
    public = {}
    for name in NAMES:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(root / name)]
        subprocess.run(command, check=True)
        public[name] = (root / f"{name}.pub").read_text().strip()
    shutil.copytree(template.root / "data", root / "repo/data")
    with contextlib.chdir(root / "repo"):
        repo = Repo(root / "repo", cases=list(template.cases), predicted=list(template.predicted))
        repo.export(("case_1", "pancreas", "alice"), ("case_2", "liver", "alice"))
        labels = repo.shown("alice", "case_2").copy()
        labels[1, 1, 1] = 0
        folder = repo.give_back("alice", {"case_2": labels}, case_2={"liver": "revise"})
        sign_return(folder, root / "alice")
        note_receipt(folder, CAME)
    return World(root, public)


@pytest.fixture
def folder(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The return in a copy of the repository, which is the current folder."""
    shutil.copytree(world.root / "repo", tmp_path / "repo")
    monkeypatch.chdir(tmp_path / "repo")
    return Path("data/inbox/bundle-r01-alice")


def listed(world: World, **of_alice: str) -> Reviewers:
    """`reviewers.yaml` with alice's two keys, the first with such days, and bob's."""
    keys = [f"{{key: {world.public['alice']}, {', '.join(f'{k}: {v}' for k, v in of_alice.items())}}}"]
    keys.append(f"{{key: {world.public['alice2']}}}")
    text = f"reviewers:\n  alice: {{keys: [{', '.join(keys)}]}}\n  bob: {{keys: [{{key: {world.public['bob']}}}]}}\n"
    return parse_reviewers(text, "reviewers.yaml")


def judged(reviewers: Reviewers, required: bool = False) -> Return:
    context = Context(ReviewParams(require_signature=required), reviewers=reviewers)
    found = look_into(Path("data/round/bundles"), Path("data/inbox"), Path("data/base/revisions"), 1, context)
    assert not found.problems
    (one,) = found.returned.values()
    return one


def again(folder: Path, key: str, namespace: str = "voxledger-review") -> None:
    """Sign what `return.sha256` says by hand, as with ssh-keygen alone."""
    sign(folder / "return.sha256", key, namespace)


def edit(folder: Path, change: Callable[[str], str]) -> None:
    """Another `return.sha256`."""
    file = folder / "return.sha256"
    file.write_bytes(change(file.read_text()).encode())


GOOD: dict[str, Callable[[Path, World], object]] = {
    "as it was signed": lambda f, w: None,
    "by another key of hers": lambda f, w: again(f, str(w.root / "alice2")),
    "a label as it was sent is left out": lambda f, w: (f / "labels/case_1.nii.gz").unlink(),
    "images are left out": lambda f, w: shutil.rmtree(f / "images"),
    "a system left something": lambda f, w: (f / "labels/.DS_Store").write_text("x"),
    "a note beside it": lambda f, w: (f / "notes.txt").write_text("see mail"),
    "the lines of `sha256sum -b` on Windows": lambda f, w: (
        edit(f, lambda t: "\ufeff" + t.replace("  ", " *./").replace("\n", "\r\n")),
        again(f, str(w.root / "alice")),
    ),
    "hashes of PowerShell": lambda f, w: (
        edit(f, lambda t: "".join(f"{line[:64].upper()}{line[64:]}\n" for line in t.splitlines())),
        again(f, str(w.root / "alice")),
    ),
    "images and rubbish are listed, too": lambda f, w: (
        edit(f, lambda t: t + f"{'0' * 64}  images/case_1.nii.gz\n{'0' * 64}  labels/.DS_Store\n\n"),
        again(f, str(w.root / "alice")),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_signature_counts(world: World, folder: Path, name: str) -> None:
    GOOD[name](folder, world)
    one = judged(listed(world), required=True)
    assert not one.problems
    assert not one.missing
    key = world.print("alice2" if "another key" in name else "alice")
    assert [(s.key, s.received) for s in one.signatures] == [(key, "2026-03-01T12:30:00+00:00")]


def other_key(name: str) -> Callable[[Path, World], object]:
    return lambda f, w: again(f, str(w.root / name))


def forged(f: Path, w: World) -> None:
    """A label is exchanged, and the list made to fit: the signature is of the old list."""
    (f / LABEL).unlink()
    write(f / LABEL, anatomy(), GRID)
    (f / LIST).write_text(list_content(f))


LABEL, LIST, SIG = "labels/case_2.nii.gz", "return.sha256", "return.sha256.sig"
BAD: dict[str, tuple[Callable[[Path, World], object], dict[str, str], str, str]] = {
    "wrong namespace": (
        lambda f, w: again(f, str(w.root / "alice"), "file"),
        {},
        f"{SIG}: was made for the namespace 'file', and counts for nothing but that",
        "`-n voxledger-review`",
    ),
    "a release's": (
        lambda f, w: again(f, str(w.root / "alice"), "voxledger-release"),
        {},
        f"{SIG}: was made for the namespace 'voxledger-release'",
        "voxledger review sign FOLDER --key KEY",
    ),
    "expired": (
        lambda f, w: None,
        {"until": "2026-02-28"},
        "which was expired on 2026-03-01 12:30 UTC, when it came: expired after 2026-02-28",
        "by a key that is valid",
    ),
    "not yet valid": (
        lambda f, w: None,
        {"from": "2026-03-02"},
        "which was not yet valid on 2026-03-01 12:30 UTC, when it came: not valid before 2026-03-02",
        "correct reviewers.yaml if it is wrong there",
    ),
    "revoked": (
        lambda f, w: None,
        {"revoked": "2026-03-01", "reason": "laptop stolen"},
        "which was revoked on 2026-03-01 12:30 UTC, when it came: revoked from 2026-03-01 on: laptop stolen",
        "by a key that is valid",
    ),
    "unknown": (other_key("mallory"), {}, "which reviewers.yaml does not list", "if alice says that this is theirs"),
    "another reviewer's": (other_key("bob"), {}, "is by a key of bob, ", "alice has to sign the folder as it is"),
    "a label altered": (
        lambda f, w: (f / LABEL).write_bytes((f / LABEL).read_bytes() + b"\0"),
        {},
        f"{LABEL}: was changed after signing",
        "sign the folder as it is",
    ),
    "a decision altered": (
        lambda f, w: (f / "decisions.csv").write_text((f / "decisions.csv").read_text().replace("2.5", "3.5", 1)),
        {},
        "decisions.csv: was changed after signing",
        "sign the folder as it is",
    ),
    "the list altered": (
        lambda f, w: edit(f, lambda t: t.replace("decisions.csv", "decisions.xlsx")),
        {},
        f"{SIG}: does not fit return.sha256: one of them was changed since, or is from elsewhere",
        "sign the folder as it is",
    ),
    "label and list exchanged": (forged, {}, f"{SIG}: does not fit return.sha256", "sign the folder as it is"),
    "signed over something else": (
        lambda f, w: shutil.copyfile(w.root / "alice.pub", f / LIST),
        {},
        f"{LIST}: cannot be read: line 1 is not a SHA-256, two spaces and a path",
        "sign the folder as it is",
    ),
    "a file twice in the list": (
        lambda f, w: (edit(f, lambda t: t + t), again(f, str(w.root / "alice"))),
        {},
        "names bundle.json a second time",
        "sign the folder as it is",
    ),
    "a label added": (
        lambda f, w: shutil.copyfile(f / "labels/case_1.nii.gz", f / "labels/case_1.nii"),
        {},
        "labels/case_1.nii: is not in return.sha256: it was added after signing",
        "sign the folder as it is",
    ),
    "a second table added": (
        lambda f, w: shutil.copyfile(f / "decisions.csv", f / "decisions (1).csv"),
        {},
        "decisions (1).csv: is not in return.sha256: it was added after signing",
        "sign the folder as it is",
    ),
    "a label taken out": (
        lambda f, w: (f / LABEL).unlink(),
        {},
        f"{LABEL}: is in return.sha256 but not here: it was taken out after signing",
        "sign the folder as it is",
    ),
    "no packing list in it": (
        lambda f, w: (edit(f, lambda t: t.split("\n", 1)[1]), again(f, str(w.root / "alice"))),
        {},
        "bundle.json: is not in return.sha256",
        "sign the folder as it is",
    ),
    "an empty list": (
        lambda f, w: (edit(f, lambda t: ""), again(f, str(w.root / "alice"))),
        {},
        f"{LABEL}: is not in return.sha256",
        "sign the folder as it is",
    ),
    "no signature beside the list": (
        lambda f, w: (f / SIG).unlink(),
        {},
        f"{LIST}: is here without {SIG}: both together are a signature",
        "for `voxledger review receive --replace`",
    ),
    "no list beside the signature": (
        lambda f, w: (f / LIST).unlink(),
        {},
        f"{SIG}: is here without {LIST}",
        "for `voxledger review receive --replace`",
    ),
    "nonsense": (
        lambda f, w: (f / SIG).write_bytes(b"\0\xffnonsense"),
        {},
        f"{SIG}: is no signature that `ssh-keygen -Y sign` makes, or was damaged",
        "sign the folder as it is",
    ),
    "cut off": (
        lambda f, w: (f / SIG).write_bytes((f / SIG).read_bytes()[:120]),
        {},
        f"{SIG}: is no signature that `ssh-keygen -Y sign` makes, or was damaged",
        "sign the folder as it is",
    ),
    "far too long": (
        lambda f, w: (f / LIST).write_bytes(b"0" * ((1 << 20) + 1)),
        {},
        f"{LIST}: is 1048577 bytes long, at most 1048576 are possible",
        "remove or replace it",
    ),
    "thousands of files that are not here": (
        lambda f, w: (
            edit(f, lambda t: t + "".join(f"{'0' * 64}  labels/{n}.nii.gz\n" for n in range(9000))),
            again(f, str(w.root / "alice")),
        ),
        {},
        f"{LIST}: and 8980 more files are not as they were signed",
        "sign the folder as it is",
    ),
    "a damaged receipt": (
        lambda f, w: (f / "receipt.json").write_text("{}"),
        {},
        "receipt.json: cannot be read: it does not say when the return was received",
        "restore it from a copy",
    ),
    "copied into the inbox": (
        lambda f, w: (f / "receipt.json").unlink(),
        {},
        f"{SIG}: came past `voxledger review receive`, so nobody noted when",
        "`voxledger review receive data/inbox/bundle-r01-alice` notes it now",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_signature_that_does_not_count_is_named_with_the_remedy(world: World, folder: Path, name: str) -> None:
    """Whether or not signatures are required: one that does not fit says more than none."""
    change, days, problem, remedy = BAD[name]
    change(folder, world)
    one = judged(listed(world, **days))
    said = [str(f) for f in one.problems if problem in str(f)]
    assert said, [str(f) for f in one.problems]
    assert remedy in said[0]
    assert one.signatures == ()


@pytest.mark.parametrize(
    "days",
    [
        {"from": "2026-03-01", "until": "2026-03-01"},
        {"revoked": "2026-03-02", "reason": "laptop stolen"},
        {"until": "2026-03-01", "revoked": "2026-04-01", "reason": "left the hospital"},
    ],
)
def test_a_key_that_was_valid_when_it_came_counts(world: World, folder: Path, days: dict[str, str]) -> None:
    one = judged(listed(world, **days))
    assert not one.problems
    assert [s.key for s in one.signatures] == [world.print("alice")]


@pytest.mark.parametrize(("required", "missing"), [(False, 0), (True, 1)])
def test_one_without_a_signature(world: World, folder: Path, required: bool, missing: int) -> None:
    for name in (LIST, SIG):
        (folder / name).unlink()
    one = judged(listed(world), required)
    assert not one.problems
    assert len(one.missing) == missing
    if missing:
        said = str(one.missing[0])
        assert "return.sha256: is not signed, and review.require_signature asks for it" in said
        assert "alice has to sign the folder (`voxledger review sign FOLDER --key KEY`) and send it again" in said
    assert one.signatures == ()


def test_a_signature_of_another_bundle_does_not_count(world: World, folder: Path) -> None:
    """As where last round's is put beside this round's labels: the list names the bundle that it is of."""
    manifest = folder / "bundle.json"
    manifest.write_text(manifest.read_text().replace("\n", "\r\n"))
    assert any("bundle.json: was changed after signing" in str(f) for f in judged(listed(world)).problems)


def test_what_gate_saw_is_what_counts(world: World, folder: Path) -> None:
    """Between two looks nothing of the content changes, only who signed: it is judged anew."""
    first = judged(listed(world))
    again(folder, str(world.root / "bob"))
    second = judged(listed(world))
    assert (first.sha256, bool(first.problems)) == (second.sha256, False)
    assert second.problems
    assert first.kept != second.kept


def test_the_recipe_of_a_plain_shell_makes_the_same_list(world: World, folder: Path) -> None:
    recipe = "find bundle.json decisions* labels -type f -exec sha256sum {} + > ../shell.sha256"
    subprocess.run(["sh", "-ec", recipe], cwd=folder, check=True)
    made = Path("data/inbox/shell.sha256")
    assert sorted(made.read_text().splitlines()) == sorted((folder / LIST).read_text().splitlines())
    made.unlink()


def test_reviewers_of_the_page_can_be_read() -> None:
    page = (Path(__file__).parents[2] / "docs/curators.md").read_text()
    example = page.split("## Reviewers who sign")[1].split("```yaml\n")[1].split("```")[0]
    assert set(parse_reviewers(example, "reviewers.yaml")) == set(YAML(typ="safe").load(example)["reviewers"])
