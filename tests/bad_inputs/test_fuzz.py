"""18,000 mutated inputs: never a traceback, a hang or a file elsewhere.

They are manifests, tables, archives, label files, signatures, lists of reviewers, readings and uploads. What a mutated
return changes is seen: it is refused, is a finding, or says the same as before, voxel by voxel.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from organ_round import GRID, Round

from voxledger.bundles.inbox import look_into
from voxledger.cli.exchange import _tell
from voxledger.errors import BundleRefused, Misuse, VoxledgerError, Waiting
from voxledger.imaging.volume import read_label, write
from voxledger.params import ReviewParams
from voxledger.records.bundle import RECEIPT, SIGNATURE, SIGNED, list_files, read_manifest
from voxledger.records.decisions import Decision, read_decisions
from voxledger.records.exchange import read_sendings
from voxledger.records.readings import Outcome, Reading, read_readings, write_readings
from voxledger.records.reviewers import Reviewers, parse_reviewers, read_reviewers
from voxledger.review.carrier import where_of
from voxledger.review.fetch import fetch
from voxledger.review.pack import pack
from voxledger.review.receive import Received, receive
from voxledger.review.send import send
from voxledger.review.sign import sign_return

BUNDLES, INBOX = Path("data/round/bundles"), Path("data/inbox")
SECONDS = 5
COUNTS = {"manifest": 2500, "decisions": 3000, "archive": 2500, "header": 2000}
COUNTS |= {"adjudication": 1500, "signature": 2000, "reviewers": 1500, "readings": 1500, "upload": 1500}
TOKENS = [b"\0", b'"', b",", b";", b"\n", b"\r", b"=", b"../", b"\\", b"1e999", b"-1", b"\xff\xfe", b"\xef\xbb\xbf"]
TOKENS += [b"[" * 500, b"{", b"}", b"null", b"true", b"accept", b"revise", b"yes", b"\x1b[2J", "中".encode(), b" " * 99]
ODD = [
    *TOKENS,
    b"-inf",
    b"-0.0",
    b"1e3",
    b"1441",
    b"&a ",
    b"*a",
    b"<<: *a",
    b"? ",
    b"|",
    b"- ",
    b"!!python/object:os.system ",
    b"\t",
    b"9999-12-31",
    b"0001-01-01",
]
ODD += [b"2026-02-30", b"ssh-rsa AAAA", b"1_0", b"nan", b".inf", b"0x1", b"~", b"''", b"# ", b"  bob: *a\n"]


def mutated(content: bytes, rng: np.random.Generator, tokens: list[bytes] = TOKENS) -> bytes:
    """One to five changes: bytes flipped, cut, doubled, moved, tokens put in."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(len(data) + 1))
        to = min(len(data), at + int(rng.integers(1, 40)))
        match int(rng.integers(6)):
            case 0:
                data[at:at] = tokens[int(rng.integers(len(tokens)))]
            case 1:
                del data[at:to]
            case 2:
                data[at:at] = data[at:to] * int(rng.integers(1, 4))
            case 3 if at < len(data):
                data[at] ^= 1 << int(rng.integers(8))
            case 4:
                data[at:to] = rng.integers(0, 256, to - at, dtype=np.uint8).tobytes()
            case _:
                data = data[:at] if rng.random() < 0.2 else data
    return bytes(data)


def odd_value(content: bytes, rng: np.random.Generator, mark: bytes) -> bytes:
    """Up to three values, which stand behind a mark and end with the next one or the line, in the place of others."""
    for _ in range(int(rng.integers(1, 4))):
        places = [m.end() for m in re.finditer(re.escape(mark), content)]
        at = places[int(rng.integers(len(places)))]
        to = min(i for i in (content.find(mark, at), content.find(b"\n", at), len(content)) if i >= 0)
        content = content[:at] + ODD[int(rng.integers(len(ODD)))] + content[to:]
    return content


@contextmanager
def bounded(what: object) -> Iterator[None]:
    """Fail with what it was where it takes longer."""

    def late(*_: object) -> None:
        raise AssertionError(f"{what}: longer than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    began = time.monotonic()
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < SECONDS, what


def everything(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*")}


def files_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in list_files(folder)}


def read_or_refused(read: Callable[[], Any], what: str) -> Any:
    """What is read; None where it is refused, by a message that names what."""
    try:
        return read()
    except VoxledgerError as error:
        said = str(error)
    assert what in said
    return None


@pytest.fixture
def back(sent: Round) -> Path:
    """A sound return in which the liver was revised, out of the inbox."""
    labels = sent.proposals["case_1"].copy()
    labels[0, 0, :3] = 1
    folder = sent.give_back({"liver": "revise"}, labels)
    shutil.move(folder, "back")
    return Path("back")


@pytest.mark.slow
def test_manifests(back: Path) -> None:
    content = (back / "bundle.json").read_bytes()
    sound = read_manifest(content, "it")
    taken = 0
    for number in range(COUNTS["manifest"]):
        fuzzed = mutated(content, np.random.default_rng(number))
        with bounded(number):
            try:
                found = read_manifest(fuzzed, "it")
            except BundleRefused:
                continue
        assert found == sound, number
        taken += 1
    assert taken < COUNTS["manifest"] / 4


@pytest.mark.slow
def test_tables(back: Path) -> None:
    content = (back / "decisions.csv").read_bytes()
    path = Path("fuzzed.csv")
    for number in range(COUNTS["decisions"]):
        path.write_bytes(mutated(content, np.random.default_rng(number)))
        with bounded(number):
            table = read_decisions(path)
        for key, row in table.rows.items():
            assert (row.case_id, row.class_name) == key
            assert row.minutes is None or 0 <= row.minutes <= 1440


@pytest.mark.slow
def test_archives(sent: Round, back: Path, tmp_path: Path) -> None:
    """Whole archives, and archives of mutated names."""
    with zipfile.ZipFile("sound.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in list_files(back):
            archive.writestr(f"b/{name}", (back / name).read_bytes())
    content = Path("sound.zip").read_bytes()
    outside = everything(tmp_path) - {n for n in everything(tmp_path) if n.startswith("data/inbox/")}
    for number in range(COUNTS["archive"]):
        rng = np.random.default_rng(number)
        if number % 2:
            Path("fuzzed.zip").write_bytes(mutated(content, rng))
        else:
            with zipfile.ZipFile("fuzzed.zip", "w") as archive:
                for name in list_files(back):
                    renamed = mutated(name.encode(), rng) if rng.random() < 0.2 else name.encode()
                    archive.writestr(f"b/{renamed.decode('utf-8', 'replace')}", (back / name).read_bytes())
        with bounded(number), contextlib.suppress(BundleRefused, Misuse):
            receive(Path("fuzzed.zip"), BUNDLES, INBOX, 1, replace=True)
        left = {n for n in everything(tmp_path) if not n.startswith("data/inbox/")}
        assert left - outside <= {"fuzzed.zip"}, number
        for item in INBOX.iterdir():
            assert item.name.startswith("bundle-r01-alice"), number
            shutil.rmtree(item)


@pytest.mark.slow
def test_headers_of_labels(sent: Round, back: Path) -> None:
    """What is taken is what was drawn, or another grid or number is a finding."""
    labels = sent.proposals["case_1"].copy()
    labels[0, 0, :3] = 1
    write("sound.nii.gz", labels, GRID)
    content = gzip.decompress(Path("sound.nii.gz").read_bytes())
    shutil.copytree(back, sent.folder)
    path = sent.folder / "labels/case_1.nii.gz"
    for number in range(COUNTS["header"]):
        rng = np.random.default_rng(number)
        fuzzed = bytearray(content)
        for at in rng.integers(0, 352, int(rng.integers(1, 4))):
            fuzzed[at] = int(rng.integers(256))
        path.unlink()
        path.write_bytes(gzip.compress(bytes(fuzzed), 1))
        with bounded(number):
            try:
                one = sent.read()
                taken = one.labels("case_1")
            except VoxledgerError as error:
                raise AssertionError(f"{number}: {error}") from error
        if not one.problems and not one.missing and not one.notes:
            assert taken is not None
            assert np.array_equal(taken, labels), number


@pytest.mark.slow
def test_manifests_of_an_adjudicator(repo: Any) -> None:
    """Received with all that was sent along: refused, or what was sent."""
    repo.export(*((f"case_{n}", "pancreas", name) for n in (1, 2) for name in ("alice", "bob")), readers=2)
    review = ReviewParams(consensus="adjudicate", agreement=0.9, adjudicator="zoe")
    repo.context = replace(repo.context, review=review)
    for reader, decision in (("alice", "accept"), ("bob", "reject")):
        repo.give_back(reader, **{f"case_{n}": {"pancreas": decision} for n in (1, 2)})
    repo.adjudicate()
    sound = repo.manifest("zoe")
    back = repo.give_back("zoe", target=Path("back"))
    content, sent, readers = (back / "bundle.json").read_bytes(), files_of(back), everything(INBOX)
    taken = 0
    for number in range(COUNTS["adjudication"]):
        (back / "bundle.json").write_bytes(mutated(content, np.random.default_rng(number)))
        with bounded(number), contextlib.suppress(BundleRefused):
            received = receive(back, BUNDLES, INBOX, 1, replace=True)
            assert received.manifest == sound, number
            found = files_of(received.folder)
            assert {n: c for n, c in found.items() if n != "bundle.json"} == {
                n: c for n, c in sent.items() if n != "bundle.json"
            }
            shutil.rmtree(received.folder)
            taken += 1
        assert everything(INBOX) == readers, number
    assert taken < COUNTS["adjudication"] / 4


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "alice"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
    return path


def listed(key: Path) -> str:
    """A `reviewers.yaml` with the key of alice, and one of bob that ends."""
    other = key.with_name("bob")
    if not other.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-C", "", "-f", str(other)], check=True)
    keys = [path.with_suffix(".pub").read_text().strip() for path in (key, other)]
    return (
        "# who reviews\nreviewers:\n  alice:\n    affiliation: Hospital, north\n    qualification: radiologist\n"
        f"    keys:\n      - key: {keys[0]}\n        from: 2026-01-01\n  bob:\n    keys:\n      - key: {keys[1]}\n"
        "        until: 2027-01-31\n        revoked: 2026-06-30\n        reason: a laptop was lost\n  carol:\n"
    )


@pytest.mark.slow
def test_signatures(sent: Round, back: Path, key: Path) -> None:
    """One counts where list and signature are as they were made, and all that is listed is as it was signed."""
    sign_return(back, key)
    folder = receive(back, BUNDLES, INBOX, 1).folder
    reviewers: Reviewers = parse_reviewers(listed(key), "reviewers.yaml")
    context = replace(sent.context, reviewers=reviewers, review=ReviewParams(require_signature=True))
    names = (SIGNED, SIGNATURE, RECEIPT, "decisions.csv", "bundle.json")
    sound = {name: (folder / name).read_bytes() for name in names}

    def judged() -> Any:
        found = look_into(BUNDLES, INBOX, Path("data/base/revisions"), 1, context)
        return next(iter(found.returned.values()), None)

    assert judged().signatures
    for number in range(COUNTS["signature"]):
        name = names[number % len(names)]
        fuzzed = mutated(sound[name], np.random.default_rng(number))
        (folder / name).write_bytes(fuzzed)
        with bounded(number):
            one = judged()
        if fuzzed == sound[name]:
            assert one.signatures, number
        elif one is not None and one.signatures:
            assert name in (SIGNATURE, RECEIPT), number
            assert {s.key for s in one.signatures} == {reviewers["alice"].keys[0].fingerprint}, number
        elif one is not None:
            assert one.problems or one.missing, number
        (folder / name).write_bytes(sound[name])


@pytest.mark.slow
def test_lists_of_reviewers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: Path) -> None:
    """What is taken can be said, and given to `ssh-keygen`, a line a key."""
    monkeypatch.chdir(tmp_path)
    content, taken = listed(key).encode(), 0
    option = r'namespaces="voxledger-review"(,valid-(after|before)="\d{8}Z")*'
    for number in range(COUNTS["reviewers"]):
        rng = np.random.default_rng(number)
        Path("reviewers.yaml").write_bytes(mutated(content, rng, ODD) if number % 2 else odd_value(content, rng, b": "))
        with bounded(number):
            found = read_or_refused(read_reviewers, "reviewer")
            if found is None:
                continue
            for name, reviewer in found.items():
                assert reviewer.told.isprintable(), number
                for own in reviewer.keys:
                    for year in (1, 2026, 9999):
                        assert own.told(own.state(datetime(year, 6, 30, tzinfo=UTC))).isprintable(), number
                    assert re.fullmatch(rf"{re.escape(name)} {option} \S+ \S+", own.allowed_signer(name)), number
        taken += 1
    assert taken > COUNTS["reviewers"] / 20


@pytest.mark.slow
def test_readings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is taken says the same once it is written again, as the next round does."""
    monkeypatch.chdir(tmp_path)
    one = Reading(
        2, "case_1", "liver", "alice", Decision.REVISE, 2.5, "boundary", 'was small, "they" say\n=1',
        "a" * 64, "b" * 64, "majority", Outcome.MERGED,
    )  # fmt: skip
    rejected = replace(one, decision=Decision.REJECT, minutes=None, mask_sha256="", consensus="", comment="")
    path, again = Path("readings.csv"), Path("again.csv")
    write_readings(path, [one, rejected, replace(one, outcome=Outcome.PENDING, reader="bob")])
    content = path.read_bytes()
    for number in range(COUNTS["readings"]):
        rng = np.random.default_rng(number)
        path.write_bytes(mutated(content, rng, ODD) if number % 2 else odd_value(content, rng, b","))
        with bounded(number):
            found = read_or_refused(lambda: read_readings(path), str(path))
            if found is None:
                continue
            write_readings(again, found)
            rounded = [row if row.minutes is None else replace(row, minutes=round(row.minutes, 2)) for row in found]
            assert read_readings(again) == rounded, number
        assert all(row.minutes is None or 0 <= row.minutes < np.inf for row in found), number


@pytest.fixture
def drop(sent: Round, back: Path, request: pytest.FixtureRequest) -> Path:
    """Where alice puts what she sends back; her bundle went there by a carrier."""
    subprocess.run(["git", "init", "--quiet", "--template="], check=True)
    for name, value in (("user.name", "test"), ("user.email", "test@example.org")):
        subprocess.run(["git", "config", name, value], check=True)
    Path("share").mkdir()
    send(BUNDLES / "bundle-r01-alice", where_of(f"{request.param}:{Path('share').resolve()}"), "2026-11-28T12:00:00Z")
    return Path("share/alice/return")


def put(drop: Path, back: Path, content: bytes, rng: np.random.Generator) -> bool:
    """An upload of a mutated name: a mutated zip, a folder with mutated files, what is none; True: a sound one."""
    name = re.sub(rb"[/\0]", b"", mutated(b"bundle-r01-alice.zip", rng))[:255].strip(b".") or b"x"
    target = drop / os.fsdecode(name)
    match int(rng.integers(5)):
        case 0:
            target.write_bytes(mutated(content, rng))
        case 1:
            shutil.copytree(back, target)
            path = target / sorted(list_files(target))[int(rng.integers(len(list_files(target))))]
            path.write_bytes(mutated(path.read_bytes(), rng))
        case 2:
            shutil.copytree(back, target)
            odd = re.sub(rb"[/\0]", b"", mutated(b"case_1.nii.gz", rng))[:255].strip(b".") or b"x"
            (target / "labels" / os.fsdecode(odd)).write_bytes(b"" if rng.random() < 0.5 else content)
        case 3:
            match int(rng.integers(4)):
                case 0:
                    target.symlink_to("/etc/passwd")
                case 1:
                    os.mkfifo(target)
                case 2:
                    target.joinpath(*"a" * int(rng.integers(1, 60))).mkdir(parents=True)
                case _:
                    shutil.copytree(back, target)
                    (target / "labels/more").symlink_to("/")
        case _:
            target.write_bytes(content)
            return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("drop", ["folder", "zip"], indirect=True)
def test_uploads(sent: Round, back: Path, drop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is sound comes in as it was sent, all else says why not; the place itself is left as it is."""
    pack(back, Path("sound.zip"))
    content, sound, sendings = Path("sound.zip").read_bytes(), files_of(back), read_sendings()
    outside = {n for n in everything(tmp_path) if not n.startswith(("data/", ".git/", "share/alice/return"))}

    def take(file: Path, sender: str) -> Received:
        return receive(file, BUNDLES, INBOX, 1, sender=sender)

    for number in range(COUNTS["upload"] // 2):
        is_sound = put(drop, back, content, np.random.default_rng(number))
        before = everything(drop)
        with bounded(number):
            found = list(fetch(sendings, take, 10 * len(content)))
            for one in found:
                _tell(one)
                assert (one.received is None) is not (one.problem is None), number
        capsys.readouterr()
        for one in found:
            if one.received is not None:
                assert one.received.folder.name == "bundle-r01-alice", number
                if is_sound:
                    assert files_of(one.received.folder) == sound, number
        assert not is_sound or [one.received for one in found] != [None], number
        assert everything(drop) == before, number
        left = {n for n in everything(tmp_path) if not n.startswith(("data/", ".git/", "share/alice/return"))}
        assert left == outside, number
        assert {p.name for p in INBOX.iterdir()} <= {"bundle-r01-alice"}, number
        if not number % 10:
            assert all(isinstance(one.problem, Waiting) for one in fetch(sendings, take, 10 * len(content))), number
        for item in [p for place in (drop, INBOX, Path("data/fetched")) for p in place.iterdir()]:
            shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()


REPEATED: dict[str, Callable[[dict[str, Any]], object]] = {
    "a path outside": lambda v: v["files"].__setitem__("../evil", {"sha256": "0" * 64, "bytes": 1}),
    "negative bytes": lambda v: v["files"].__setitem__("x", {"sha256": "0" * 64, "bytes": -1}),
    "more voxels": lambda v: v["voxels"].__setitem__("case_1", 10**12),
    "no voxels": lambda v: v["voxels"].clear(),
    "another class": lambda v: v["label_schema"]["classes"][0].__setitem__("id", 9),
    "a class twice": lambda v: v["label_schema"]["classes"].append(v["label_schema"]["classes"][0]),
    "asked about more": lambda v: v["asked"].append({"case_id": "case_1", "class_name": "aorta"}),
    "other masks": lambda v: v["masks"]["case_1"].__setitem__("liver", "0" * 64),
}


@pytest.mark.parametrize("what", REPEATED)
def test_a_manifest_that_says_something_else_is_refused(back: Path, what: str) -> None:
    values = json.loads((back / "bundle.json").read_bytes())
    REPEATED[what](values)
    (back / "bundle.json").write_text(json.dumps(values))
    with pytest.raises(BundleRefused):
        receive(back, BUNDLES, INBOX, 1)
    assert read_label(BUNDLES / "bundle-r01-alice/labels/case_1.nii.gz").any()
