"""A bundle: the folder that one reviewer gets and gives back, and its manifest `bundle.json`."""

from __future__ import annotations

import codecs
import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxledger import layout
from voxledger.errors import BundleRefused, Misuse, VoxledgerError
from voxledger.imaging.format import other_suffixes, suffixes
from voxledger.imaging.volume import file_sha256
from voxledger.page import NAME as PAGE
from voxledger.records.decisions import MOST_BYTES as MOST_DECISION_BYTES
from voxledger.records.formats import Upgrade, upgraded
from voxledger.reviewer_name import fault_of
from voxledger.schema import LabelSchema
from voxledger.textfile import replace_text

UPGRADES: tuple[Upgrade, ...] = (lambda values: values,)
"""A bundle comes back in the format in which it went out: its id is a hash of what it said then. Format 2 has masks."""
FORMAT = len(UPGRADES) + 1
MANIFEST = "bundle.json"
PREFIX = "bundle-"
LABELS, IMAGES, ATTENTION, WEAK = "labels", "images", "attention", "weak"
ARCHIVES = (".zip", ".7z", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
"""What a return may come packed as."""
IMAGE_LIKE = (
    *(".img", ".raw", ".zraw", ".nhdr", ".npy", ".npz", ".mat"),
    *(".mrb", ".mrml", ".itksnap", ".vtk", ".vtp", ".vti", ".stl", ".obj", ".ply"),
    *(*ARCHIVES, ".rar"),
)
"""Besides the formats that are read or refused, files that may be or hold a label: scenes, meshes, archives."""
PAGE_NOTES = "review.json"
"""What the page is told of the cases, their modality first, which says what grey values are shown; see
`records/page_notes.py`."""
RESAMPLE = "resample.json"
"""What `review receive --resample` writes into a return: its labels may lie on other voxels than their images."""
LINK = "return.json"
"""Where the page may send the return, beside a bundle that was sent: a secret, which is kept nowhere."""
CLICKS = "clicks.json"
"""Where somebody clicked, and which model answered: see `records/clicks.py`."""
EMULATED = "emulated.json"
"""That a virtual reader drew, and what that stands for: see `records/emulated.py`."""
MOST_CLICK_BYTES = 1 << 24
MOST_ORIGIN_BYTES = 1 << 9
"""By which the page that sends may be longer."""
SIGNED, SIGNATURE = "return.sha256", "return.sha256.sig"
"""What a reviewer signs, and the signature: see `records/signature.py`."""
RECEIPT, PARTS = "receipt.json", "signed-parts"
"""What `review receive` adds to a signed return: when it came, and, where it was put together, what of."""
SUPERSEDED = ".superseded-"
"""Part of the name of a return that is kept, and that a newer one took the place of."""
MOST_SIGNED_BYTES = 1 << 20
MOST_DEPTH, MOST_NAME_BYTES, MOST_PATH_BYTES = 32, 255, 1024
"""Folders below one another, and bytes of names: more is nobody's bundle, and some file systems cannot hold it."""

_DECISIONS = re.compile(r"decisions(?: ?\(\d{1,3}\)| - Copy)?\.(?:csv|xlsx)", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_JUNK = re.compile(
    r"(^|.*/)(\.DS_Store|Thumbs\.db|desktop\.ini|__MACOSX(/.*)?|\._[^/]*|~\$[^/]*|\.~lock\.[^/]*)", re.IGNORECASE
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Asked(_Strict):
    """One class of one case that the reviewer is asked about."""

    case_id: str
    class_name: str


class File(_Strict):
    """One exported file."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class Manifest(_Strict):
    """What `bundle.json` says."""

    format: int
    id: str
    """SHA-256 of all the rest of the manifest."""
    dataset: str
    round: int
    reviewer: str
    base_version: str
    """SHA-256 of `data/base/ledger.csv`: which version of the dataset the proposals stand on."""
    model_ids: tuple[str, ...]
    """Models that proposed labels, and the model of errors where attention is learned."""
    label_schema: LabelSchema
    asked: tuple[Asked, ...]
    voxels: dict[str, int]
    """Voxels of each case's image: bounds the size of a returned label."""
    files: dict[str, File]
    """Exported files but the manifest itself, by their path in the bundle."""
    masks: dict[str, dict[str, str]] = {}
    """`mask_sha256` of the proposal by case and class; none in format 1."""

    @property
    def cases(self) -> list[str]:
        return sorted(self.voxels)

    @property
    def name(self) -> str:
        return bundle_name(self.round, self.reviewer)

    def to_bytes(self) -> bytes:
        return _json(_values(self))

    def most_label_bytes(self, case_id: str) -> int:
        """The largest label of a case that is not absurd: 8 bytes a voxel, and a header."""
        return self.voxels[case_id] * 8 + (1 << 20)


class Resample(_Strict):
    """What `RESAMPLE` says."""

    format: int = 1
    cases: tuple[str, ...] = ()
    """Those whose labels may lie on other voxels than their images."""
    drawn: tuple[str, ...] = ()
    """Those whose labels were put together from such ones, and lie on the voxels of their images now."""


def make_manifest(**values: Any) -> Manifest:
    """A manifest with its id filled in."""
    draft = Manifest(format=FORMAT, id="", **values)
    return draft.model_copy(update={"id": _id_of(draft)})


def remade(manifest: Manifest, **values: Any) -> Manifest:
    """A manifest with other values, and the id that fits them."""
    draft = manifest.model_copy(update=values)
    return draft.model_copy(update={"id": _id_of(draft)})


def read_manifest(content: bytes, what: str) -> Manifest:
    """Parse a `bundle.json`; `what` names it in errors.

    Raises
    ------
    BundleRefused
        It is not a manifest, was altered, or names a path outside the bundle.
    """
    text = content.removeprefix(codecs.BOM_UTF8)
    _require_known_format(text, what)
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise BundleRefused(
            f"{what} is not the manifest of a bundle: {where + ': ' if where else ''}{first['msg']}",
            f"put the original {MANIFEST} from the bundle that was sent back in its place",
        ) from None
    unsafe = [path for path in manifest.files if not is_safe(path)]
    beyond_id = manifest.format == 1 and manifest.masks  # its id says nothing of them
    if _id_of(manifest) != manifest.id or beyond_id or unsafe or fault_of([manifest.reviewer]):
        raise BundleRefused(
            f"{what} was altered{': it names ' + unsafe[0] if unsafe else ''}",
            f"put the original {MANIFEST} from the bundle that was sent back in its place",
        )
    return manifest


def _require_known_format(text: bytes, what: str) -> None:
    """Raise if a newer voxledger exported the bundle: its manifest may say what this one cannot know."""
    with suppress(ValueError, RecursionError):
        values = json.loads(text)
        if isinstance(values, dict):
            try:
                upgraded(values, UPGRADES, what, "use the version of voxledger that exported the bundle")
            except VoxledgerError as error:
                raise BundleRefused(error.problem, error.remedy) from None


def says_what_was_sent(content: bytes, sent: Manifest) -> bool:
    """Whether a returned `bundle.json` says what the one that was sent does; its layout does not matter."""
    try:
        # The id covers all that a manifest says, and was found right.
        return read_manifest(content, MANIFEST).id == sent.id
    except BundleRefused:
        return False


def bundle_name(round_number: int, reviewer: str) -> str:
    """Name of the folder of a bundle."""
    return f"{PREFIX}r{round_number:02d}-{reviewer}"


def require_reviewers(reviewers: Iterable[str]) -> None:
    """Raise unless every name makes a safe file name everywhere, and no two differ by capitals alone."""
    if fault := fault_of(reviewers):
        raise Misuse(fault, f"correct {layout.PARAMS}, export.reviewers")


def require_case_name(case_id: str) -> None:
    """Raise unless a case id makes a safe file name."""
    if not _CASE.fullmatch(case_id):
        raise Misuse(f"case {case_id!r} cannot be a file name", f"rename the case in {layout.CASES}")


def most_manifest_bytes(sent: Iterable[Manifest]) -> int:
    """The most bytes of a `bundle.json` that says what was sent, however an editor saved it again."""
    return 4 * max((len(manifest.to_bytes()) for manifest in sent), default=0) + (1 << 16)


def is_safe(path: str) -> bool:
    """Whether a path from a manifest or an archive stays inside its folder, on every system."""
    if not is_text(path) or len(path.encode()) > MOST_PATH_BYTES or path.count("/") > MOST_DEPTH:
        return False
    parts = PurePosixPath(path).parts
    return (
        bool(parts)
        and not path.startswith("/")
        and not any(c in path for c in '\\:*?"<>|\0')
        and not any(p in ("..", ".") or p.endswith((" ", ".")) or ord(min(p)) < 32 for p in parts)
        and not any(len(p.encode()) > MOST_NAME_BYTES for p in parts)
        and PurePosixPath(path).as_posix() == path
    )


def is_text(name: str) -> bool:
    """Whether the name of a file is UTF-8: in others, Python puts surrogates for bytes that are not."""
    return _SURROGATE.search(name) is None


def is_plain(file: Path) -> bool:
    """Whether a file is a regular one; a link only into a DVC cache, where `dvc add` or `dvc checkout` may put it."""
    return file.is_file() and (not file.is_symlink() or "/files/md5/" in file.resolve().as_posix())


def is_junk(path: str) -> bool:
    """Whether a file was left by an operating system or an office program, not by a person."""
    return _JUNK.fullmatch(path) is not None


def is_image_like(path: str) -> bool:
    """Whether a file may be a label that a reviewer saved."""
    return path.lower().endswith((*suffixes(), *other_suffixes(), *IMAGE_LIKE))


def is_returned(path: str) -> bool:
    """Whether a file of a bundle makes what came back: decisions, labels, how to read them, notes of readers."""
    return is_decisions(path) or path in (RESAMPLE, CLICKS, EMULATED) or path.startswith(f"{LABELS}/")


def is_ours(path: str) -> bool:
    """Whether `review receive` writes a file into a return, so that none of this name comes from outside."""
    return path in (RESAMPLE, RECEIPT) or path.casefold().startswith(f"{PARTS}/")


def is_decisions(path: str) -> bool:
    """Whether a file is the table of decisions, also as a browser, a file manager or Excel names a copy of it."""
    return _DECISIONS.fullmatch(path) is not None


def label_case(path: str, cases: Iterable[str]) -> str | None:
    """The case whose label a file `labels/<case><suffix>` or `labels/<case>/…/<class><suffix>` is, or None."""
    name = path.removeprefix(f"{LABELS}/")
    known = set(cases)
    if "/" in name:
        first = name.partition("/")[0]
        return first if first in known and path.lower().endswith(suffixes()) else None
    endings = (*suffixes(), *other_suffixes())
    return next((name[: -len(e)] for e in endings if name.lower().endswith(e) and name[: -len(e)] in known), None)


def is_class_file(path: str) -> bool:
    """Whether the label of a case that a file is part of has one file a class."""
    return path.count("/") > 1


def read_resample(folder: Path) -> Resample:
    """What `review receive --resample` noted in a return; without a note nothing."""
    path = folder / RESAMPLE
    return Resample.model_validate_json(path.read_bytes()) if path.is_file() else Resample()


def add_resample(folder: Path, cases: Iterable[str], drawn: Iterable[str]) -> None:
    """Note more cases in a return."""
    noted = read_resample(folder)
    more = Resample(cases=tuple(sorted({*noted.cases, *cases})), drawn=tuple(sorted({*noted.drawn, *drawn})))
    if more != noted:
        replace_text(folder / RESAMPLE, _json(more.model_dump(mode="json")).decode())


def size_bound(manifest: Manifest, path: str) -> int:
    """The most bytes that a returned file of this path may have."""
    if path == MANIFEST:
        return most_manifest_bytes([manifest])
    if is_decisions(path) or path == RESAMPLE:
        return MOST_DECISION_BYTES
    if path in (CLICKS, EMULATED):
        return MOST_CLICK_BYTES
    if path in (SIGNED, SIGNATURE):
        return MOST_SIGNED_BYTES
    case = label_case(path, manifest.cases)
    if case is not None:
        return manifest.most_label_bytes(case)
    if path in manifest.files:
        return manifest.files[path].bytes + (MOST_ORIGIN_BYTES if path == PAGE else 0)
    return max((manifest.most_label_bytes(c) for c in manifest.cases), default=0)


def content_sha256(bundle_id: str, files: Mapping[str, str]) -> str:
    """Identity of a returned bundle: hash of its id and of the SHA-256 of its decisions and labels."""
    returned = {path: digest for path, digest in files.items() if is_returned(path)}
    return hashlib.sha256(_json({"bundle": bundle_id, "files": returned})).hexdigest()


def returned_files(folder: Path) -> dict[str, str]:
    """SHA-256 of decisions and labels in a returned folder, by path; what a system left there is not counted."""
    found = {}
    for path in list_files(folder):
        if is_returned(path) and (folder / path).is_file():
            found[path] = file_sha256(folder / path)
    return found


def list_files(folder: Path) -> list[str]:
    """Paths of all files in a bundle folder but system leftovers, sorted.

    Links count as files. Below `MOST_DEPTH` folders nothing is looked for: there a folder counts as a file, too.
    """
    found = []
    for place, names, files in os.walk(folder):
        inside = Path(place).relative_to(folder)
        deep = len(inside.parts) >= MOST_DEPTH
        found += [inside / name for name in files]
        found += [inside / name for name in names if deep or (Path(place) / name).is_symlink()]
        if deep:
            names.clear()
    return sorted(p.as_posix() for p in found if not is_junk(p.as_posix()))


def expected_bundles(bundles: Path, round_number: int) -> dict[Path, Manifest]:
    """The exported bundles of a round, by folder, sorted by name.

    Bundles of an earlier round, which `dvc pull` may bring back after the next one was opened, are passed over.

    Raises
    ------
    BundleRefused
        A manifest of an exported bundle is damaged.
    """
    folders = sorted(p for p in bundles.glob(f"{PREFIX}*") if p.is_dir()) if bundles.is_dir() else []
    found = {}
    for folder in folders:
        try:
            found[folder] = read_manifest((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))
        except (OSError, BundleRefused):
            raise BundleRefused(
                f"{folder} is not what export wrote", f"run `dvc checkout {layout.BUNDLES}`, or in a clone `dvc pull`"
            ) from None
        if found[folder].round != round_number:
            del found[folder]
    return found


def sent_bundles(bundles: Path, round_number: int) -> dict[Path, Manifest]:
    """The bundles of a round that went out to readers, and after these that of the adjudicator, which lies beside."""
    return expected_bundles(bundles, round_number) | expected_bundles(beside(bundles), round_number)


def beside(bundles: Path) -> Path:
    """Where the bundle of the adjudicator lies, by the folder of those of the readers."""
    return bundles.with_name(layout.ADJUDICATION.name)


def shows_readings(manifest: Manifest) -> bool:
    """Whether a bundle is that of an adjudicator, wherever it lies."""
    return layout.RELEASE_READINGS.name in manifest.files


def is_adjudication(folder: Path) -> bool:
    """Whether the bundle that went out from a folder is that of an adjudicator."""
    return folder.parent.name == layout.ADJUDICATION.name


def voxel_count(shape: tuple[int, int, int]) -> int:
    """Voxels of a grid of shape (z, y, x)."""
    return math.prod(shape)


def _values(manifest: Manifest) -> dict[str, Any]:
    """What the manifest says in its own format."""
    return manifest.model_dump(mode="json", exclude={"masks"} if manifest.format == 1 else None)


def _id_of(manifest: Manifest) -> str:
    values = _values(manifest)
    del values["id"]
    return hashlib.sha256(_json(values)).hexdigest()


def _json(values: Any) -> bytes:
    return (json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8")
