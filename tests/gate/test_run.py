"""Everything that may go wrong with a bundle that comes back."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxledger.bundles import returned
from voxledger.bundles.context import Context
from voxledger.bundles.inbox import look_into
from voxledger.errors import BundleRefused, CasesFailed, VoxledgerError, Waiting
from voxledger.imaging.volume import read, write
from voxledger.params import MachineParams, ReviewParams
from voxledger.records.cases import Split
from voxledger.records.decisions import Row
from voxledger.review.receive import receive
from voxledger.review.status import status

sitk = pytest.importorskip("SimpleITK")

WORK = [("case_1", "pancreas", "alice"), ("case_1", "lesion", "alice"), ("case_2", "liver", "alice")]
LABEL = "labels/case_1.nii.gz"
PLACES = Path("data/round/bundles"), Path("data/inbox"), Path("data/base/revisions")


@pytest.fixture
def sent(repo: Any) -> Any:
    repo.export(*WORK)
    return repo


def refused(sent: Any) -> str:
    with pytest.raises(BundleRefused) as caught:
        sent.gate()
    assert caught.value.exit_code == 1
    assert not Path("data/round/received.json").exists()
    return str(caught.value)


def test_every_flipped_byte_is_noticed_or_without_effect(sent: Any) -> None:
    folder = sent.give_back("alice")
    sent.gate()
    Path("data/round/received.json").unlink()
    rng = np.random.default_rng(0)
    sent_files = json.loads((folder / "bundle.json").read_text())["files"]
    for path in ["bundle.json", *(p for p in sent_files if "/" in p)]:
        original = (folder / path).read_bytes()
        for position in {0, len(original) - 1, *(int(i) for i in rng.integers(0, len(original), 6))}:
            damaged = bytearray(original)
            damaged[position] ^= 0x41
            (folder / path).write_bytes(damaged)
            if path.startswith("labels/"):
                # Unused bytes of a gzip header change nothing; whatever changes a voxel is refused.
                try:
                    sent.gate()
                except BundleRefused:
                    assert path in refused(sent)
                else:
                    Path("data/round/received.json").unlink()
                    assert np.array_equal(read(folder / path).array, read(sent.bundle("alice") / path).array)
            else:
                assert path in refused(sent)
        (folder / path).write_bytes(original)
    sent.gate()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99])
def test_a_truncated_label_is_refused(sent: Any, share: float) -> None:
    label = sent.give_back("alice") / LABEL
    content = label.read_bytes()
    label.write_bytes(content[: int(len(content) * share)])
    text = refused(sent)
    assert f"bundle-r01-alice, case case_1, {LABEL}" in text
    assert "damaged or incomplete" in text


def test_an_altered_image_is_refused(sent: Any) -> None:
    image = sent.give_back("alice") / "images/case_1.nii.gz"
    volume = read(image)
    volume.array[3, 3, 3] += 1
    write(image, volume.array, volume.grid)
    text = refused(sent)
    assert "case case_1, images/case_1.nii.gz: was altered or damaged" in text


@pytest.mark.parametrize("content", [None, b"no label"])
def test_several_processes_find_the_same(sent: Any, content: bytes | None) -> None:
    """Labels that are drawn anew are compared ahead; one that is no label is still named as it is alone."""
    redrawn = {c: np.roll(sent.shown("alice", c), 1, axis=2) for c in ("case_1", "case_2")}
    folder = sent.give_back("alice", redrawn, case_1={"pancreas": "revise", "lesion": "revise"})
    if content is not None:
        (folder / LABEL).write_bytes(content)
    alone = refused(sent)
    shutil.rmtree(".memo")
    returned._known.clear()
    with pytest.raises(BundleRefused) as caught:
        sent.gate(MachineParams(workers=2))
    assert str(caught.value) == alone
    assert len(list(Path(".memo/gate").glob("[!.]*/memo.json"))) == (4 if content is None else 2)


def test_images_may_be_left_out(sent: Any) -> None:
    folder = sent.give_back("alice")
    for part in ("images", "attention"):
        shutil.rmtree(folder / part)
    (folder / "README.md").unlink()
    (folder / ".DS_Store").write_bytes(b"x")
    sent.gate()


def test_all_problems_at_once(sent: Any) -> None:
    shown = sent.shown("alice", "case_1")
    changed = shown.copy()
    changed[0, 0, 0] = 1
    folder = sent.give_back("alice", {"case_1": changed}, case_1={"lesion": "revise"}, case_2={"liver": "revise"})
    (folder / "images/case_2.nii.gz").write_bytes(b"x")
    text = refused(sent)
    for part in (
        "case case_1, class lesion, labels/case_1.nii.gz: the decision is revise, but the mask is as it was sent",
        "case case_1, class liver, labels/case_1.nii.gz: it was not asked, but 1 voxels",
        "case case_2, class liver, labels/case_2.nii.gz: the decision is revise, but the mask is as it was sent",
        "case case_2, images/case_2.nii.gz: was altered",
        "4 problems",
    ):
        assert part in text


def test_problems_come_with_what_is_missing(sent: Any) -> None:
    sent.give_back("alice", case_1={"lesion": "revise", "pancreas": ""})
    text = refused(sent)
    assert "still missing" in text
    assert "class pancreas, decisions.csv: has no decision" in text


def _resave(path: Path, target: Path, change: Any = None, dtype: Any = None) -> None:
    image = sitk.ReadImage(str(path))
    if change is not None:
        image = change(image)
    if dtype is not None:
        image = sitk.Cast(image, dtype)
    path.unlink()
    sitk.WriteImage(image, str(target), useCompression=True)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", ["sitkUInt8", "sitkInt16", "sitkFloat32", "sitkFloat64", "sitkInt64"])
def test_labels_saved_again_by_a_viewer_are_taken(sent: Any, suffix: str, dtype: str) -> None:
    changed = sent.shown("alice", "case_1")
    changed[9, 10, 10] = 3
    folder = sent.give_back("alice", {"case_1": changed}, case_1={"lesion": "revise"})
    _resave(folder / LABEL, folder / f"labels/case_1{suffix}", dtype=getattr(sitk, dtype))
    sent.gate()
    sent.take_in()
    assert np.array_equal(sent.released("case_1"), changed)


NEAREST = "was resampled: every voxel of the image has the label of the nearest one"

REGRIDDED = [
    (lambda i: sitk.Flip(i, [True, False, False]), "was flipped along x"),
    (lambda i: sitk.Flip(i, [False, False, True]), "was flipped along z"),
    (lambda i: sitk.PermuteAxes(i, [1, 0, 2]), "has its axes in another order"),
    (lambda i: sitk.DICOMOrient(i, "RAS"), "was flipped along x, y"),
    (lambda i: sitk.DICOMOrient(i, "SAL"), "has its axes in another order, was flipped along y"),
    (lambda i: sitk.ConstantPad(i, [3, 0, 0], [0, 2, 9]), "was padded"),
]
"""What viewers do to a grid without touching a voxel."""


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mhd", ".hdr", ".mgz"])
@pytest.mark.parametrize(("change", "words"), REGRIDDED)
def test_labels_on_another_grid_of_the_same_voxels_are_taken_as_they_were_drawn(
    sent: Any, change: Any, words: str, suffix: str
) -> None:
    changed = sent.shown("alice", "case_1")
    changed[9, 10, 10] = 3
    folder = sent.give_back("alice", {"case_1": changed}, case_1={"lesion": "revise"})
    name = f"labels/case_1{suffix}"
    _resave(folder / LABEL, folder / ("labels/case_1.nii" if suffix == ".mgz" else name), change)
    if suffix == ".mgz":
        _as_mgz(folder / "labels/case_1.nii", folder / name)
    sent.gate()
    (bundle,) = status(*PLACES, 1).bundles
    (note,) = bundle.notes
    assert (note.case_id, note.file) == ("case_1", name)
    assert note.problem.startswith(words)
    assert note.problem.endswith(": put back by its geometry, no voxel changed")
    sent.take_in()
    assert np.array_equal(sent.released("case_1"), changed)


def _as_mgz(path: Path, target: Path) -> None:
    import nibabel

    image: Any = nibabel.load(path)
    nibabel.save(nibabel.MGHImage(np.asarray(image.dataobj), image.affine), target)
    path.unlink()


@pytest.mark.parametrize("outside", ["unchanged", "empty"])
def test_outside_of_a_cropped_label_is_what_the_parameter_says_with_a_note(sent: Any, outside: Any) -> None:
    changed = sent.shown("alice", "case_1")
    changed[9, 10, 10] = 3
    decisions = dict.fromkeys(("lesion", "pancreas", "liver"), "revise")
    folder = sent.give_back("alice", {"case_1": changed}, case_1=decisions)
    _resave(folder / LABEL, folder / LABEL, lambda i: i[8:, :, :])
    expected = changed.copy()
    if outside == "empty":
        expected[..., :8] = 0
    lost = int(np.count_nonzero(sent.shown("alice", "case_1")[..., :8]))
    assert lost
    (one,) = look_into(*PLACES, 1, Context(ReviewParams(outside=outside))).returned.values()
    became = "are as they were sent" if outside == "unchanged" else "are empty now"
    assert [n.problem for n in one.notes] == [
        "was cropped: put back by its geometry, no voxel changed",
        f"{lost} labelled voxels outside of its extent {became} (review.outside: {outside})",
    ]
    labels = one.labels("case_1")
    assert labels is not None
    assert np.array_equal(labels, expected)


def test_a_label_with_voxels_outside_of_its_image_is_refused(sent: Any) -> None:
    folder = sent.give_back("alice")
    _resave(folder / LABEL, folder / LABEL, lambda i: sitk.ConstantPad(i, [2, 0, 0], [0, 0, 0], 1.0))
    text = refused(sent)
    assert f"case case_1, {LABEL}: has {2 * 16 * 10} voxels outside of its image, which would be lost" in text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda i: i[:, :, ::2], "was resampled"),
        (lambda i: _with(i, SetOrigin=(0.0, 0.0, 0.0)), "was shifted by part of a voxel"),
        (lambda i: _with(i, SetOrigin=np.add(i.GetOrigin(), (1.4, 0, 0)).tolist()), "was shifted: "),
        (lambda i: _with(i, SetDirection=(0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1)), "was turned"),
        (lambda i: _with(i, SetOrigin=(-7000.0, 12.5, 100.0)), "was shifted"),
    ],
)
def test_labels_on_another_grid_are_refused_with_the_reason(sent: Any, change: Any, reason: str) -> None:
    folder = sent.give_back("alice")
    _resave(folder / LABEL, folder / LABEL, change)
    text = refused(sent)
    assert f"case case_1, {LABEL}" in text
    assert reason in text
    assert "with the image as reference volume" in text


def _with(image: Any, **changes: Any) -> Any:
    for name, value in changes.items():
        getattr(image, name)(value)
    return image


def test_resampling_is_asked_for_and_written_down(sent: Any) -> None:
    """Nearest neighbour from slices half as thick, on which the same was drawn, is what was drawn."""
    changed = sent.shown("alice", "case_1")
    changed[9, 10, 10] = 3
    folder = sent.give_back("alice", {"case_1": changed}, case_1={"lesion": "revise"})
    _resave(folder / LABEL, folder / LABEL, lambda i: sitk.Expand(i, [1, 1, 2], sitk.sitkNearestNeighbor))
    assert "was resampled: it has" in refused(sent)
    shutil.move(folder, "alice")
    received = receive(Path("alice"), *PLACES[:2], 1, resample=True)
    assert not receive(Path("alice"), *PLACES[:2], 1).new
    sent.gate()
    (one,) = look_into(*PLACES, 1).returned.values()
    assert (one.sha256, one.resampled) == (received.sha256, {"case_1"})
    assert [n.problem for n in one.notes] == [
        "was resampled: every voxel of the image has the label of the nearest one"
    ]
    ledger = sent.take_in()
    assert np.array_equal(sent.released("case_1"), changed)
    assert {k: e.resampled for k, e in ledger.items() if e.bundle} == {
        ("case_1", "lesion"): True,
        ("case_1", "pancreas"): True,
        ("case_2", "liver"): False,
    }


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("pad", [3, 25])
def test_a_resampled_label_says_both_sizes_however_large_it_is(sent: Any, suffix: str, pad: int) -> None:
    folder = sent.give_back("alice", case_1={"lesion": "revise"}, case_2={"liver": "revise"})
    padded = f"labels/case_1{suffix}"
    _resave(
        folder / LABEL,
        folder / padded,
        lambda i: _with(sitk.ConstantPad(i, [pad] * 3, [pad] * 3), SetSpacing=(0.7, 0.8, 3.0)),
        sitk.sitkInt64,
    )
    size = " × ".join(str(n + 2 * pad) for n in (20, 16, 10))
    text = refused(sent)
    assert f"bundle-r01-alice, case case_1, {padded}: was resampled: it has {size} voxels of 0.7 × 0.8 × 3 mm" in text
    assert "its image 20 × 16 × 10 voxels of 0.7 × 0.8 × 2.5 mm (x × y × z)" in text
    assert "with the image as reference volume" in text
    assert "case case_2, class liver, labels/case_2.nii.gz: the decision is revise, but" in text
    assert "2 problems" in text


def test_a_label_of_the_right_grid_that_holds_more_is_refused(sent: Any) -> None:
    folder = sent.give_back("alice")
    volume = read(folder / LABEL)
    (folder / LABEL).unlink()
    write(folder / "labels/case_1.nii", volume.array, volume.grid)
    with open(folder / "labels/case_1.nii", "ab") as stream:
        stream.write(b"\0" * (3 << 20))
    assert "labels/case_1.nii: is damaged or incomplete: it holds more than" in refused(sent)


def test_voxels_flipped_under_the_same_header_are_refused(sent: Any) -> None:
    flipped = sent.shown("alice", "case_1")[:, :, ::-1]
    sent.give_back("alice", {"case_1": flipped}, case_1=dict.fromkeys(("liver", "pancreas", "lesion"), "revise"))
    assert "the label map has come back flipped along x" in refused(sent)


def test_unknown_ids_fractions_and_negative_values_are_refused(sent: Any) -> None:
    folder = sent.give_back("alice")
    for value, reason in ((9, "that labels.yaml does not have: 9"), (1.5, "fractions"), (-1, "negative")):
        volume = read(sent.bundle("alice") / LABEL)
        array = volume.array.astype(np.float32)
        array[0, 0, 0] = value
        write(folder / LABEL, array, volume.grid)
        assert reason in refused(sent)


def _slice(path: Path) -> Any:
    return sitk.ReadImage(str(path))[:, :, 4]


def _holding(value: float, dtype: Any = np.float32) -> Any:
    def image(path: Path) -> Any:
        volume = read(path)
        array = volume.array.astype(dtype)
        array[0, 0, 0] = value
        made = sitk.GetImageFromArray(array)
        made.CopyInformation(sitk.ReadImage(str(path)))
        return made

    return image


NO_LABELS = {
    "one slice": (_slice, "size (20, 16)"),
    "a line": (lambda path: _slice(path)[:, :1], "size"),
    "two in one file": (lambda path: sitk.JoinSeries([sitk.ReadImage(str(path))] * 2), "is not one 3-D volume"),
    "three values a voxel": (lambda path: sitk.Compose([sitk.ReadImage(str(path))] * 3), "3 value(s) a voxel"),
    "infinity": (_holding(np.inf), "infinite"),
    "minus infinity": (_holding(-np.inf), "infinite"),
    "infinity in float64": (_holding(np.inf, np.float64), "infinite"),
    "NaN": (_holding(np.nan), "NaN"),
    "more than any class": (_holding(1e30, np.float64), f"holds {int(1e30)}"),
    "more than any class in uint64": (_holding(2**63 + 1, np.uint64), str(2**63 + 1)),
    "complex numbers": (_holding(1 + 2j, np.complex64), "complex"),
}
"""What a viewer or a script may save in the place of a label map."""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("what", NO_LABELS)
def test_what_is_no_label_map_is_a_finding_and_no_traceback(sent: Any, what: str, suffix: str) -> None:
    """A label of two dimensions, or infinities in NRRD and MHA, ended the gate and `review status` with a traceback."""
    make, reason = NO_LABELS[what]
    folder = sent.give_back("alice")
    path = folder / f"labels/case_1{suffix}"
    image = make(folder / LABEL)
    (folder / LABEL).unlink()
    sitk.WriteImage(image, str(path))
    text = refused(sent)
    assert f"bundle-r01-alice, case case_1, labels/case_1{suffix}: " in text
    assert reason in text or (what == "complex numbers" and suffix == ".mha")  # MetaImage makes two values of one
    assert "1 problems" in text
    assert "/plain" not in text
    found = status(Path("data/round/bundles"), Path("data/inbox"), Path("data/base/revisions"), 1).to_json()
    assert [b["state"] for b in found["bundles"]] == ["refused"]
    (finding,) = found["bundles"][0]["problems"]
    assert finding["remedy"]


BROKEN_HEADERS = {
    "NRRD of an infinite origin": (".nrrd", b"space origin: (-31.25,12.5,100)", b"space origin: (inf,inf,inf)"),
    "NRRD of an unknown axis": (".nrrd", b"kinds: domain domain domain", b"kinds: list domain domain"),
    "NRRD without a direction": (".nrrd", b"(0,0,2.5)", b"(0,0,0)"),
    "NRRD of one size too few": (".nrrd", b"sizes: 20 16 10", b"sizes: 20 16"),
    "MHA of two dimensions": (".mha", b"NDims = 3", b"NDims = 2"),
    "MHA of no number of dimensions": (".mha", b"NDims = 3", b"NDims = x"),
    "MHA of a negative size": (".mha", b"DimSize = 20 16 10", b"DimSize = 20 16 -10"),
    "empty NIfTI": (".nii.gz", None, b""),
    "empty NRRD": (".nrrd", None, b""),
    "empty MHA": (".mha", None, b""),
}


@pytest.mark.parametrize("what", BROKEN_HEADERS)
def test_a_label_of_a_broken_header_is_a_finding_that_names_it(sent: Any, what: str) -> None:
    suffix, old, new = BROKEN_HEADERS[what]
    folder = sent.give_back("alice")
    path = folder / f"labels/case_1{suffix}"
    image = sitk.ReadImage(str(folder / LABEL))
    (folder / LABEL).unlink()
    sitk.WriteImage(image, str(path))
    content = path.read_bytes()
    assert old is None or old in content
    path.write_bytes(new if old is None else content.replace(old, new))
    text = refused(sent)
    assert f"bundle-r01-alice, case case_1, labels/case_1{suffix}: " in text
    assert "/plain" not in text


@pytest.mark.parametrize("name", ["labels/case_1.nii.gz", "decisions.csv", "bundle.json"])
def test_a_folder_in_the_place_of_a_file_is_a_finding(sent: Any, name: str) -> None:
    folder = sent.give_back("alice")
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises((BundleRefused, Waiting), match=f"(?s)bundle-r01-alice.*{name}"):
        sent.gate()
    (folder / name / "x.nii.gz").write_bytes(b"x")
    assert name in refused(sent)


def test_two_labels_of_one_case_are_refused(sent: Any) -> None:
    folder = sent.give_back("alice")
    volume = read(folder / LABEL)
    for suffix in (".mha", ".nrrd"):
        write(folder / f"labels/case_1{suffix}", volume.array, volume.grid)
    assert "there are 2 labels of one case: labels/case_1.mha, labels/case_1.nrrd" in refused(sent)


def test_the_label_as_it_was_sent_does_not_count_beside_another(sent: Any) -> None:
    changed = sent.shown("alice", "case_1")
    changed[9, 10, 10] = 3
    folder = sent.give_back("alice", {}, case_1={"lesion": "revise"})
    write(folder / "labels/case_1.mha", changed, read(folder / LABEL).grid)
    sent.gate()
    sent.take_in()
    assert np.array_equal(sent.released("case_1"), changed)


@pytest.mark.parametrize(
    "name", ["labels/case_1 (1).nii.gz", "labels/Segmentation.seg.nrrd", "case_1.nii.gz", "labels/notes.txt"]
)
def test_a_label_saved_under_another_name_is_not_passed_over(sent: Any, name: str) -> None:
    folder = sent.give_back("alice")
    shutil.copyfile(folder / LABEL, folder / name)
    assert name in refused(sent)


@pytest.mark.parametrize(
    "name",
    ["Scene.mrb", "2026-Scene.MRML", "Segmentation.vtk", "mesh/lesion.stl", "work.itksnap", "corrected.zip", "x.npz"],
)
def test_what_may_hold_an_unsaved_correction_is_asked_about(sent: Any, name: str) -> None:
    """Where all was accepted, a scene of Slicer beside the labels passed without a word."""
    folder = sent.give_back("alice")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    text = refused(sent)
    assert f"{name}: is not a file of the bundle" in text
    assert "if it is or holds a corrected label, save that as labels/<case>.nii.gz; otherwise remove it" in text


def test_notes_and_pictures_beside_the_labels_are_nobodys_label(sent: Any) -> None:
    folder = sent.give_back("alice")
    for name in ("notes.txt", "screenshot.png", "letter.pdf", "minutes.xlsx"):
        (folder / name).write_bytes(b"x")
    sent.gate()


def test_a_foreign_bundle_is_refused(sent: Any) -> None:
    shutil.copytree(sent.bundle("alice"), "alice")
    sent.version = 2
    sent.export(*WORK)
    shutil.move("alice", "data/inbox/bundle-r01-alice")
    assert "bundle-r01-alice: is of round 1, not of round 2" in refused(sent)


def test_a_bundle_of_another_export_is_refused(sent: Any) -> None:
    sent.give_back("alice")
    with pytest.raises(VoxledgerError, match="were made before, and would be others now: they stay as they are"):
        sent.export(*WORK[:2])
    shutil.rmtree("data/round/bundles")
    sent.export(*WORK[:2])
    text = refused(sent)
    assert "its id is unknown" in text
    assert "bundle-r01-alice: has not come back" in text


def test_a_bundle_of_an_earlier_round_that_was_imported_is_passed_over(sent: Any) -> None:
    folder = sent.give_back("alice")
    sent.gate()
    sent.take_in()
    shutil.copytree(folder, "kept")
    sent.next_round()
    sent.export(("case_3", "liver", "alice"))
    shutil.move("kept", "data/inbox/bundle-r01-alice")
    sent.give_back("alice")
    sent.gate()
    assert [b["folder"] for b in json.loads(Path("data/round/received.json").read_text())["bundles"]] == [
        "bundle-r02-alice"
    ]


def test_the_same_bundle_twice(sent: Any) -> None:
    folder = sent.give_back("alice")
    shutil.copytree(folder, "data/inbox/bundle-r01-alice (1)")
    sent.gate()
    with open("data/inbox/bundle-r01-alice (1)/decisions.csv", "a") as stream:
        stream.write("case_3,liver,accept,1,none,\n")
    Path("data/round/received.json").unlink()
    text = refused(sent)
    assert "twice with different content: bundle-r01-alice, bundle-r01-alice (1)" in text
    assert "ask alice which one counts" in text
    assert "has not come back" not in text


def test_a_renamed_bundle_is_known_by_its_manifest(repo: Any) -> None:
    repo.export(*WORK, ("case_3", "liver", "bob"))
    folder = repo.give_back("alice")
    folder.rename("data/inbox/bundle-r01-bob")
    with pytest.raises(Waiting) as caught:
        repo.gate()
    assert "bundle-r01-bob: has not come back" in str(caught.value)
    assert "alice" not in str(caught.value)


def test_an_altered_manifest_is_refused(sent: Any) -> None:
    folder = sent.give_back("alice")
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["asked"].pop()
    (folder / "bundle.json").write_text(json.dumps(manifest))
    assert "bundle.json was altered" in refused(sent)


@pytest.mark.parametrize("path", ["../../evil", "/etc/passwd", "a\\b", "C:/x", "a//b", "./a", "a/..", "con. "])
def test_a_manifest_cannot_name_paths_outside(sent: Any, path: str) -> None:
    from voxledger.records.bundle import is_safe

    assert not is_safe(path)


def test_contradicting_tables_are_refused(sent: Any) -> None:
    folder = sent.give_back("alice")
    head = "case_id,class_name,decision,minutes,error_type,comment\n"
    rows = "case_1,pancreas,accept,1,none,\ncase_1,pancreas,reject,1,none,\n1,lesion,accept,1,none,\n"
    (folder / "decisions.csv").write_text(head + rows + "case_2,liver,yes,1,none,\n")
    text = refused(sent)
    assert "second line for the same case and class" in text
    assert "case 1, class lesion, decisions.csv: there is no such case" in text
    assert "case case_2, class liver, decisions.csv: decision 'yes'" in text


def test_one_class_decided_by_two_reviewers_is_refused(repo: Any) -> None:
    repo.export(*WORK, ("case_1", "liver", "bob"))
    repo.give_back("alice", case_1={"liver": "reject"})
    repo.give_back("bob")
    assert "bundle-r01-bob, case case_1, class liver, decisions.csv: bundle-r01-alice decides on it too" in refused(
        repo
    )


def test_other_things_in_the_inbox(sent: Any) -> None:
    sent.give_back("alice")
    inbox = Path("data/inbox")
    for name in (".gitignore", "bundle-r01-alice.dvc", ".DS_Store"):
        (inbox / name).write_text("x")
    sent.gate()
    Path("data/round/received.json").unlink()
    (inbox / "bundle-r01-alice.zip").write_bytes(b"x")
    with pytest.raises(Waiting, match=r"`voxledger review receive data/inbox/bundle-r01-alice\.zip`"):
        sent.gate()
    (inbox / "scan.nii.gz").write_bytes(b"x")
    shutil.copytree(sent.bundle("alice"), inbox / "from alice/bundle-r01-alice")
    (inbox / "bundle-empty").mkdir()
    text = refused(sent)
    assert "scan.nii.gz: is not a returned bundle" in text
    assert "from alice: is not a returned bundle; names of bundles start with bundle-" in text
    assert "bundle-empty: is not a returned bundle" in text


def test_links_are_refused_unless_into_the_cache_of_dvc(sent: Any, tmp_path: Path) -> None:
    label = sent.give_back("alice") / LABEL
    cache = tmp_path / "cache/files/md5/ab/cdef"
    cache.parent.mkdir(parents=True)
    label.rename(cache)
    label.symlink_to(cache)
    sent.gate()
    Path("data/round/received.json").unlink()
    elsewhere = tmp_path / "elsewhere.nii.gz"
    cache.rename(elsewhere)
    label.unlink()
    label.symlink_to(elsewhere)
    assert f"{LABEL}: is not a plain file" in refused(sent)


def test_an_altered_export_is_noticed(sent: Any) -> None:
    changed = sent.shown("alice", "case_1")
    changed[9, 10, 10] = 3
    sent.give_back("alice", {"case_1": changed}, case_1={"lesion": "revise"})
    exported = sent.bundle("alice") / LABEL
    volume = read(exported)
    write(exported, np.zeros_like(volume.array), volume.grid)
    assert "is not what export wrote" in refused(sent)


def test_status_for_programs(sent: Any) -> None:
    def now() -> dict[str, Any]:
        return status(Path("data/round/bundles"), Path("data/inbox"), Path("data/base/revisions"), 1).to_json()

    assert [b["state"] for b in now()["bundles"]] == ["away"]
    folder = sent.give_back("alice", case_1={"lesion": ""})
    found = now()["bundles"][0]
    assert (found["state"], found["decided"], found["asked"]) == ("incomplete", 2, 3)
    assert found["missing"][0]["class_name"] == "lesion"
    shutil.rmtree(folder)
    sent.give_back("alice", case_1={"lesion": "revise"})
    assert now()["bundles"][0]["state"] == "refused"
    shutil.rmtree(folder)
    sent.give_back("alice")
    assert now()["bundles"][0]["state"] == "complete"
    json.dumps(now())


def two_cases(repo: Any, proposal: np.ndarray) -> dict[str, Row]:
    """Send case_2 and a case_9 with its own proposal to alice; every class of a case as revised, and confirmed."""
    repo.add_case("case_9", Split.POOL, None, proposal)
    names = repo.names()
    repo.export(*((case, name, "alice") for case in ("case_2", "case_9") for name in names))
    return {name: replace(repo.row("", name, "revise"), confirmed=True) for name in names}


def test_label_files_of_two_cases_that_changed_places_are_refused(repo: Any) -> None:
    near = read("data/round/pseudo/case_2.nii.gz").array
    far = np.roll(near, 9, axis=2)
    revised = two_cases(repo, far)
    repo.give_back("alice", {"case_2": far, "case_9": near}, case_2=revised, case_9=revised)
    text = refused(repo)
    assert "case case_2, labels/case_2.nii.gz: the label looks like that of case case_9" in text
    assert "case case_9, labels/case_9.nii.gz: the label looks like that of case case_2" in text


def test_a_label_drawn_anew_is_not_taken_for_that_of_another_case(repo: Any) -> None:
    near = read("data/round/pseudo/case_2.nii.gz").array
    revised = two_cases(repo, np.roll(near, 9, axis=2))
    repo.give_back("alice", {"case_2": np.roll(near, 4, axis=2)}, case_2=revised)
    repo.gate()


def two_revisions(repo: Any, alice: dict[str, str], bob: dict[str, str], edit: Any) -> tuple[np.ndarray, np.ndarray]:
    """Alice is asked about the liver and what is in `alice`, bob about kidney and lesion; `edit` changes both maps."""
    work = [("case_1", n, "alice") for n in {"liver", *alice}] + [("case_1", n, "bob") for n in {"kidney_left", *bob}]
    repo.export(*work)
    shown = repo.shown("alice", "case_1")
    of_alice, of_bob = shown.copy(), shown.copy()
    edit(of_alice, of_bob)
    repo.give_back("alice", {"case_1": of_alice}, case_1={"liver": "accept"} | alice)
    repo.give_back("bob", {"case_1": of_bob}, case_1={"kidney_left": "accept"} | bob)
    return of_alice, of_bob


def both_in_the_gap(a: np.ndarray, b: np.ndarray) -> None:
    a[0, 12, 15:18] = 1
    b[0, 12, 16:19] = 5


def both_corners(a: np.ndarray, b: np.ndarray) -> None:
    a[9, 15, 19] = 1
    b[9, 15, 19] = 5


def bob_into_the_liver(a: np.ndarray, b: np.ndarray) -> None:
    assert (a[2:4, 4, 4] == 1).all()
    b[2:4, 4, 4] = 5


def bobs_lesion_in_alices_liver(a: np.ndarray, b: np.ndarray) -> None:
    a[0, 12, 15:18] = 1
    b[0, 12, 15] = 3


def bobs_lesion_in_alices_pancreas(a: np.ndarray, b: np.ndarray) -> None:
    a[9, 12, 4:8] = 2
    b[9, 12, 4:9] = 3


def apart(a: np.ndarray, b: np.ndarray) -> None:
    a[0, 12, 15:17] = 1
    b[0, 12, 17:19] = 5


@pytest.mark.parametrize(
    ("alice", "bob", "edit", "said"),
    [
        ({"liver": "revise"}, {"kidney_left": "revise"}, both_in_the_gap, "2 voxels are liver for alice (revise) and "
         "kidney_left for bob (revise)"),
        ({"liver": "revise"}, {"kidney_left": "revise"}, both_corners, "1 voxel is liver for alice (revise) and "
         "kidney_left for bob (revise)"),
        ({}, {"kidney_left": "revise"}, bob_into_the_liver, "2 voxels are liver for alice (accept) and kidney_left for "
         "bob (revise)"),
        ({"liver": "revise"}, {"lesion": "revise"}, bobs_lesion_in_alices_liver, "1 voxel is liver for alice (revise) "
         "and lesion for bob (revise)"),
        ({"pancreas": "revise"}, {"lesion": "revise"}, bobs_lesion_in_alices_pancreas, ""),
        ({"liver": "revise"}, {"kidney_left": "revise"}, apart, ""),
        ({"liver": "reject"}, {"kidney_left": "revise"}, bob_into_the_liver, ""),
    ],
)  # fmt: skip
def test_two_reviewers_who_claim_the_same_voxels_are_named_and_the_round_waits(
    repo: Any, alice: dict[str, str], bob: dict[str, str], edit: Any, said: str
) -> None:
    """The lower class id won, and nothing said so."""
    two_revisions(repo, alice, bob, edit)
    if not said:
        repo.gate()
        repo.take_in()
        return
    text = refused(repo)
    assert f"bundle-r01-bob, case case_1: {said}, see bundle-r01-alice" in text
    assert "1 problems" in text
    assert "voxledger review receive FILE.zip" in text
    (listed,) = status(Path("data/round/bundles"), Path("data/inbox"), Path("data/base/revisions"), 1).problems
    assert (listed.case_id, said in listed.problem) == ("case_1", True)
    with pytest.raises(CasesFailed, match="case_1: .*" + re.escape(said)):
        let_through(repo)


def let_through(repo: Any) -> None:
    """Import what lies in the inbox although the gate has refused it."""
    from unittest import mock

    with mock.patch("voxledger.bundles.inbox.claimed_twice", return_value=[]):
        repo.gate()
    repo.take_in()


def test_a_new_return_settles_who_has_the_voxels(repo: Any) -> None:
    _, of_bob = two_revisions(repo, {"liver": "revise"}, {"kidney_left": "revise"}, both_in_the_gap)
    refused(repo)
    of_bob[0, 12, 16:18] = 0
    target = Path("again/bundle-r01-bob")
    repo.give_back("bob", {"case_1": of_bob}, target=target, case_1={"kidney_left": "revise"})
    receive(target, Path("data/round/bundles"), Path("data/inbox"), 1, replace=True)
    repo.gate()
    ledger = repo.take_in()
    merged = repo.released("case_1")
    assert merged[0, 12, 15:19].tolist() == [1, 1, 1, 5]
    assert (ledger["case_1", "liver"].reviewer, ledger["case_1", "kidney_left"].reviewer) == ("alice", "bob")
