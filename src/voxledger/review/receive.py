"""Taking a returned bundle, a folder or an archive from outside, into the inbox: safely, whole or not at all.

The bundle that was sent, not the one that comes back, says which files there may be and how large. Nothing in
the inbox is overwritten: what a person made is kept, also where a newer return takes its place.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import IO

from voxledger import layout
from voxledger.bundles.inbox import PART, RECEIVING, foreign
from voxledger.bundles.part import Part
from voxledger.bundles.pulled import why_not_as_received
from voxledger.disk import disk_failure
from voxledger.errors import BundleRefused, Misuse, VoxledgerError
from voxledger.params import Outside
from voxledger.process import lock
from voxledger.records.bundle import (
    ARCHIVES,
    LINK,
    MANIFEST,
    MOST_DEPTH,
    RECEIPT,
    RESAMPLE,
    SUPERSEDED,
    Manifest,
    add_resample,
    content_sha256,
    is_junk,
    is_ours,
    is_safe,
    label_case,
    most_manifest_bytes,
    read_manifest,
    read_resample,
    returned_files,
    says_what_was_sent,
    sent_bundles,
    shows_readings,
    size_bound,
)
from voxledger.records.sent import went_out_before
from voxledger.records.signature import is_signed, note_receipt
from voxledger.review.archives import MOST_FILES, unpack
from voxledger.review.combine import adds_signature, combine, keep_carried, keep_parts, says_all
from voxledger.review.pack import opening
from voxledger.textfile import replace_text

_CHUNK = 1 << 20
MOST_LATE_MANIFEST_BYTES = 2 << 20
"""Of a bundle of a closed round, of which none is here to compare with; much more takes seconds to read."""
MOST_LATE_BYTES = 4 << 30
"""The same of all that such a return unpacks to; in a zip its manifest says of every file what it may hold."""
_SHOWN = 200
"""Characters of a path that errors show."""
_DAMAGED = (OSError, ValueError, RuntimeError, struct.error, OverflowError)
"""What zipfile raises, besides its own error, where offsets or names in an archive make no sense."""


@dataclass(frozen=True)
class Received:
    """Where the bundle lies, and whether it was new."""

    folder: Path
    manifest: Manifest
    sha256: str
    """Identity of what came back."""
    new: bool
    replaced: Path | None = None
    """Where the return lies that this one took the place of."""
    part: Path | None = None
    """Where this one lies as it came, if it counts together with the one before."""
    left_out: tuple[str, ...] = ()
    """Files of a name that voxledger itself gives, see `records.bundle.is_ours`."""
    late: bool = False
    """Whether its round is closed, or its bundle was made anew: it is kept, and counts in no round."""


_Files = dict[str, Callable[[], IO[bytes]]]
"""How to open every file of a return, by its path in the bundle."""
Cut = Callable[[Path, Manifest], Manifest]
"""Takes out of a late return, where it lies, what is of cases that were withdrawn; what is left says of itself."""


def receive(
    source: Path,
    bundles: Path,
    inbox: Path,
    round_number: int,
    *,
    replace: bool = False,
    resample: bool = False,
    resampled: Collection[str] = (),
    outside: Outside = "unchanged",
    went_out: Callable[[int, str], bool] = lambda _number, _bundle: False,
    cut: Cut = lambda _folder, manifest: manifest,
    sender: str | None = None,
    carried: Path | None = None,
) -> Received:
    """Unpack or copy a returned bundle into `inbox/bundle-rNN-<reviewer>`.

    A second return of a bundle counts together with the first, class by class, and the newer one where both decide.

    Parameters
    ----------
    source
        A folder, zip, tar or 7z file; the bundle may lie in a folder inside it.
    bundles, inbox, round_number
        `data/round/bundles` and `data/inbox`, and the round that bundles are out of.
    replace
        Let it take the place of a different return of the same bundle alone.
    resample
        Note, also later, that its labels may lie on other voxels than their images, and then get the nearest ones.
    resampled
        Cases whose labels were drawn from such ones.
    outside
        `review.outside`, where a label that was cropped is put together with another one.
    went_out
        Whether a bundle of an earlier round, by round and id, is one of ours: then it is kept, as late.
    cut
        Called for a late return before it is kept.
    sender
        The reviewer whose it has to be, where that is known.
    carried
        A late return that all of it was taken over from.

    Raises
    ------
    VoxledgerError
        It is damaged, unsafe, foreign, or another reviewer's (`BundleRefused`); what is here is not what was received.
    """
    with _open(source, bundles, round_number) as files:
        sent, manifest = _manifest(source, files, bundles, round_number, went_out)
        _require_sender(source, manifest, sender)
        inbox.mkdir(parents=True, exist_ok=True)
        with _alone(inbox), TemporaryDirectory(prefix=RECEIVING, dir=inbox, ignore_cleanup_errors=True) as temporary:
            staging = Path(temporary)
            ours = sent is None and source.resolve().parent == inbox.resolve()
            _fill(staging, source, files, manifest, ours, carried)
            add_resample(staging, manifest.cases if resample else (), resampled)
            result = _keep_late(staging, cut(staging, manifest), layout.LATE) if sent is None else None
            result = result or _settle(staging, manifest, inbox, None if replace else sent, outside)
    return replace_fields(result, left_out=tuple(sorted(filter(is_ours, files))))


def _fill(staging: Path, source: Path, files: _Files, manifest: Manifest, ours: bool, carried: Path | None) -> None:
    """Copy a return, with what was noted of it: anew, unless it is `ours` already."""
    _copy_all(source, files, manifest, staging, ours)
    if is_signed(staging) and not ours:
        note_receipt(staging, datetime.now(UTC))
    if carried is not None:
        keep_carried(carried, staging)


def _require_sender(source: Path, manifest: Manifest, sender: str | None) -> None:
    if sender not in (None, manifest.reviewer):
        raise BundleRefused(
            f"{source} is a return of {manifest.name}, and came from {sender}",
            f"ask {manifest.reviewer} and {sender}; `voxledger review receive {source}` takes it in nevertheless",
        )


def remove_unpacked(source: Path, inbox: Path) -> None:
    """Remove an archive that lies in the inbox and was received: every file of it now lies unpacked beside it.

    Only once what was unpacked is under DVC: until then the same command has to find it again.
    """
    if source.is_file() and source.resolve().parent == inbox.resolve():
        source.unlink()


def _keep_late(staging: Path, manifest: Manifest, late: Path) -> Received:
    """Put a return of a closed round where no version looks, once."""
    sha256 = content_sha256(manifest.id, returned_files(staging))
    target = late / f"{manifest.name}-{sha256[:12]}"
    kept = [folder for folder in late.glob(f"{target.name}*") if not adds_signature(staging, folder)]
    new = not kept
    _make_ignored(late, staging.parent)
    staging.chmod(0o755)
    target = kept[0] if kept else _aside(staging, target)
    return Received(target, manifest, sha256, new=new, late=True)


def _make_ignored(late: Path, inbox: Path) -> None:
    """A folder that git ignores; a killed process leaves none that it sees."""
    if not late.exists():
        made = Path(mkdtemp(prefix=RECEIVING, dir=inbox))
        replace_text(made / ".gitignore", "*\n")
        made.chmod(0o755)
        made.rename(late)
    elif not (late / ".gitignore").is_file():
        replace_text(late / ".gitignore", "*\n")


def _settle(staging: Path, manifest: Manifest, inbox: Path, sent: Path | None, outside: Outside) -> Received:
    """Let a return count; alone, or, where `sent` is the bundle that went out, together with the one before."""
    target = inbox / manifest.name
    if not target.exists():
        _put(staging, target)
        return Received(target, manifest, _identity(target, manifest), new=True)
    there = target / MANIFEST
    sound = there.is_file() and says_what_was_sent(there.read_bytes(), manifest)
    came, old = _as_it_came(staging, manifest), _as_it_came(target, manifest)
    otherwise_signed = adds_signature(staging, target) or (
        sent is None and is_signed(target) and not is_signed(staging)
    )
    if came == old and sound and not otherwise_signed:
        noted = read_resample(staging)
        add_resample(target, noted.cases, noted.drawn)
        if is_signed(target) and not (target / RECEIPT).exists():
            note_receipt(target, datetime.now(UTC))
        return Received(target, manifest, _identity(target, manifest), new=False)
    if sound and (told := why_not_as_received(target, _identity(target, manifest))):
        raise VoxledgerError(f"{target} {told[0]}; the return that came now is not taken in", told[1])
    part = inbox / f"{manifest.name}{PART}{came[:12]}"
    replaced = inbox / f"{manifest.name}{SUPERSEDED}{old[:12]}"
    if sent is not None and _was_here(staging, part, inbox / f"{manifest.name}{SUPERSEDED}{came[:12]}"):
        return Received(target, manifest, _identity(staging, manifest), new=False)
    if sent is not None and is_signed(target) and not is_signed(staging):
        _require_no_overlap(staging, target, manifest, outside)
    if came == old:
        noted = read_resample(target)
        add_resample(staging, noted.cases, noted.drawn)
    both = _together(staging, target, manifest, sent, outside) if sent is not None and sound else None
    if both is None:
        replaced = _aside(target, replaced)
        _put(staging, target)
        return Received(target, manifest, _identity(target, manifest), new=True, replaced=replaced)
    part = _aside(staging, part)
    part.chmod(0o755)
    if _identity(both, manifest) == _identity(target, manifest) and not adds_signature(both, target):
        shutil.rmtree(both)
        return Received(target, manifest, _identity(target, manifest), new=True, part=part)
    replaced = _aside(target, replaced)
    _put(both, target)
    return Received(target, manifest, _identity(target, manifest), new=True, replaced=replaced, part=part)


def _identity(folder: Path, manifest: Manifest) -> str:
    return content_sha256(manifest.id, returned_files(folder))


def _as_it_came(folder: Path, manifest: Manifest) -> str:
    """Identity of a return without what was noted beside it."""
    files = {path: digest for path, digest in returned_files(folder).items() if path != RESAMPLE}
    return content_sha256(manifest.id, files)


def _was_here(staging: Path, *places: Path) -> bool:
    """Whether a return lies aside already, with all that is noted beside it now."""
    wanted = {*read_resample(staging).cases}
    found = [folder for place in places for folder in place.parent.glob(f"{place.name}*") if folder.is_dir()]
    return any(wanted <= {*read_resample(folder).cases} and not adds_signature(staging, folder) for folder in found)


def _together(staging: Path, target: Path, manifest: Manifest, sent: Path, outside: Outside) -> Path | None:
    """A folder with what a return says together with the one before; None where the newer one says all."""
    newer, older = Part.of(manifest, staging, outside), Part.of(manifest, target, outside)
    if newer is None or older is None or says_all(newer, older):
        return None
    both = staging.with_name(f"{staging.name}-both")
    combine(newer, older, sent, both)
    keep_parts(newer, older, outside, both)
    return both


def _require_no_overlap(staging: Path, target: Path, manifest: Manifest, outside: Outside) -> None:
    """Raise where a return that is not signed, which anybody may have made, would take the place of a signed one."""
    newer, older = Part.of(manifest, staging, outside), Part.of(manifest, target, outside)
    if newer is None or older is None or newer.rows.keys() & older.rows.keys():
        raise BundleRefused(
            f"{manifest.name}: a return that {manifest.reviewer} signed is here, and this one is not signed",
            f"ask {manifest.reviewer}, best by phone, whether it is theirs, and to sign it; `voxledger review receive "
            "--replace FILE` lets it take the place of the signed one",
        )


def _put(folder: Path, target: Path) -> None:
    folder.chmod(0o755)
    os.replace(folder, target)


def _aside(folder: Path, wanted: Path) -> Path:
    """Move a folder to a name that nothing has yet."""
    place, number = wanted, 1
    while place.exists():
        number += 1
        place = wanted.with_name(f"{wanted.name}-{number}")
    os.replace(folder, place)
    return place


@contextmanager
def _open(source: Path, bundles: Path, round_number: int) -> Iterator[_Files]:
    if source.is_dir() and not source.is_symlink():
        yield _in_folder(source)
    elif source.is_file() and source.name.lower().endswith(ARCHIVES) and not source.name.lower().endswith(".zip"):
        with TemporaryDirectory(prefix="voxledger-") as folder:
            unpack(source, Path(folder), most_bytes(bundles, round_number))
            yield _in_folder(Path(folder), source)
    elif source.is_file():
        try:
            with _archive(source) as archive:
                yield _in_archive(source, archive)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise BundleRefused(
                f"{source} is not a whole zip archive: {error}", "ask for it once more, as .zip; or unpack it yourself"
            ) from None
    else:
        raise Misuse(f"{source}: no such file or folder", "give the zip or the folder that came back")


def most_bytes(bundles: Path, round_number: int) -> int:
    """More bytes than the return of any bundle of the round can have, or a late one where the round has none yet."""
    sent = sent_bundles(bundles, round_number).values()
    most = max((2 * sum(size_bound(m, path) for path in m.files) for m in sent), default=MOST_LATE_BYTES)
    return most + max(most_manifest_bytes(sent), MOST_LATE_MANIFEST_BYTES)


def _archive(source: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(source)
    except _DAMAGED as error:
        raise _zip_failure(error) from None


def _zip_failure(error: Exception) -> Exception:
    """What is said of an archive that cannot be opened: of the machine the truth, of all else that it is damaged."""
    return error if disk_failure(error) is not None else zipfile.BadZipFile(str(error))


def _in_folder(root: Path, named: Path | None = None) -> _Files:
    """The files of a folder; `named` is what errors call it."""
    source, paths = named or root, []
    for folder, names, files in os.walk(root, followlinks=False):
        if len(Path(folder).relative_to(root).parts) > MOST_DEPTH:
            raise _unsafe(source, Path(folder).relative_to(root).as_posix(), "lies too many folders deep")
        for name in (*names, *files):
            path = Path(folder) / name
            relative = path.relative_to(root).as_posix()
            mode = path.lstat().st_mode
            if not is_junk(relative) and not stat.S_ISDIR(mode):
                if not stat.S_ISREG(mode):
                    raise _unsafe(source, relative, "is a link or no plain file")
                paths.append(relative)
    return _strip(source, {p: opening(root / p) for p in _checked(source, paths)})


def _in_archive(source: Path, archive: zipfile.ZipFile) -> _Files:
    infos = {}
    paths = []
    _require_few(source, len(archive.infolist()))
    # `filename` is cut at a zero byte and normalised by zipfile; the name as it was written is what counts.
    written = [info.orig_filename for info in archive.infolist()]
    # As .NET packed on Windows: all separators are backslashes.
    backslashes = not any("/" in name for name in written)
    for info, name in zip(archive.infolist(), written, strict=True):
        name = name.replace("\\", "/") if backslashes else name
        is_folder = name.endswith("/")
        name = name.removesuffix("/")
        if is_junk(name):
            continue
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _unsafe(source, name, "is a link or no plain file")
        if info.flag_bits & 0x1:
            raise BundleRefused(f"{source}: {name} is encrypted", "unpack it with its password, and receive the folder")
        if not is_safe(name):
            raise _unsafe(source, name, "is not a safe path")
        if not is_folder:
            paths.append(name)
            infos[name] = info
    return _strip(source, {p: _entry_opener(archive, infos[p]) for p in _checked(source, paths)})


def _entry_opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    def opened() -> IO[bytes]:
        try:
            return archive.open(info)
        except _DAMAGED as error:
            raise _zip_failure(error) from None

    return opened


def _require_few(source: Path, count: int) -> None:
    if count > MOST_FILES:
        raise BundleRefused(f"{source} holds {count} files", "send back the bundle alone")


def _checked(source: Path, paths: list[str]) -> list[str]:
    """Refuse unsafe names, and names that are the same on some file system."""
    _require_few(source, len(paths))
    seen: dict[str, str] = {}
    for path in paths:
        if not is_safe(path):
            raise _unsafe(source, path, "is not a safe path")
        folded = unicodedata.normalize("NFC", path).casefold()
        if folded in seen:
            raise _unsafe(source, path, f"has the same name as {seen[folded]}")
        seen[folded] = path
    for folded, path in seen.items():
        parts = folded.split("/")
        if any("/".join(parts[:n]) in seen for n in range(1, len(parts))):
            raise _unsafe(source, path, "lies in what is a file")
    return paths


def _strip(source: Path, files: _Files) -> _Files:
    """Paths relative to the bundle, which may lie in a folder of its own; nothing may lie outside it."""
    roots = sorted(p.removesuffix(MANIFEST) for p in files if p == MANIFEST or p.endswith(f"/{MANIFEST}"))
    if not roots:
        raise BundleRefused(
            f"{source} holds no {MANIFEST}", f"zip the whole folder of the bundle, with {MANIFEST}, and send it again"
        )
    if len(roots) > 1:
        raise BundleRefused(f"{source} holds {len(roots)} bundles: {', '.join(roots)}", "receive them one by one")
    outside = sorted(p for p in files if not p.startswith(roots[0]))
    if outside:
        raise BundleRefused(
            f"{source} holds files beside the bundle: {', '.join(outside[:5])}",
            "put them into the bundle if they belong to it, or take them out",
        )
    return {p.removeprefix(roots[0]): opener for p, opener in files.items()}


def _manifest(
    source: Path, files: _Files, bundles: Path, round_number: int, went_out: Callable[[int, str], bool]
) -> tuple[Path | None, Manifest]:
    """The bundle that was sent and its manifest, from our own copy; the returned one must say the same.

    Of an earlier round no copy is here: a manifest of which the id is on record is the one that was sent.
    """
    expected = sent_bundles(bundles, round_number)
    most = max(most_manifest_bytes(expected.values()), MOST_LATE_MANIFEST_BYTES)
    with files[MANIFEST]() as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise _unsafe(source, MANIFEST, f"holds more than the {most} bytes that are possible")
    manifest = read_manifest(content, f"{source}: {MANIFEST}")
    for folder, sent in expected.items():
        if sent.id == manifest.id:
            return folder, sent
    made_anew = manifest.round == round_number and shows_readings(manifest) and went_out_before(manifest.id)
    before = manifest.round < round_number
    if made_anew or (before and (_is_kept(source, manifest) or went_out(manifest.round, manifest.id))):
        return None, manifest
    problem, told = foreign(manifest, list(expected.values()), round_number)
    raise BundleRefused(f"{source} {problem}", told)


def _is_kept(source: Path, manifest: Manifest) -> bool:
    """Whether a folder is one of the late returns that lie here, also one that was cut: no round sent what is left."""
    if not source.is_dir() or source.resolve().parent != layout.LATE.resolve():
        return False
    return source.resolve().name.startswith(f"{manifest.name}-{_identity(source, manifest)[:12]}")


def _copy_all(source: Path, files: _Files, manifest: Manifest, staging: Path, ours: bool) -> None:
    """Copy every file, counting bytes as they come: what an archive says of its sizes is not believed.

    What voxledger itself adds to a return comes along only where that was `ours` already.
    """
    unlisted_bytes = sum(size_bound(manifest, path) for path in manifest.files)
    for path, opener in sorted((p, o) for p, o in files.items() if p != LINK and (ours or not is_ours(p))):
        case = label_case(path, manifest.cases)
        known = path in manifest.files or path == MANIFEST
        own = size_bound(manifest, path) if known else 0
        bound = own if known else min(size_bound(manifest, path), unlisted_bytes)
        if case is not None:
            # A label that a viewer saved on a larger grid comes in, so that it hides no other; the gate refuses it.
            bound = own + unlisted_bytes
        target = staging / path
        target.parent.mkdir(parents=True, exist_ok=True)
        total = 0
        try:
            with opener() as stream, open(target, "xb") as sink:
                while block := stream.read(_CHUNK):
                    total += len(block)
                    if total > bound and case is not None:
                        raise BundleRefused(
                            f"{source}: {path} holds more than the {bound} bytes that are possible for the label of "
                            f"case {case}, whose image has {manifest.voxels[case]} voxels; nothing was unpacked",
                            "ask for the bundle again, with this label saved as .nii.gz on the grid of its image",
                        )
                    if total > bound:
                        raise _unsafe(source, path, f"holds more than the {bound} bytes that are possible")
                    sink.write(block)
        except OSError as error:
            if disk_failure(error) is not None:
                raise OSError(error.errno, error.strerror, error.filename or str(target)) from None
            raise BundleRefused(f"{source}: {path} cannot be read: {error}", "ask for it once more") from None
        unlisted_bytes -= max(total - own, 0)


def remove_leftovers(inbox: Path) -> None:
    """Remove what a killed `receive` left half unpacked."""
    if inbox.is_dir():
        with _alone(inbox):
            pass


@contextmanager
def _alone(inbox: Path) -> Iterator[None]:
    """One `receive` at a time; what a killed one left behind is removed."""
    handle = os.open(inbox, os.O_RDONLY)
    try:
        lock(handle, str(inbox))
        for leftover in inbox.glob(f"{RECEIVING}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield
    finally:
        os.close(handle)


def _unsafe(source: Path, path: str, why: str) -> BundleRefused:
    shown = path if len(path) <= _SHOWN else f"{path[: _SHOWN // 2]}…{path[-_SHOWN // 2 :]}"
    return BundleRefused(
        f"{source}: {shown!r} {why}; nothing was unpacked", "ask for the bundle again, zipped as the folder it was"
    )
