"""The page that goes with a bundle and tells a radiologist what to do."""

from __future__ import annotations

from voxledger.export.colors import SLICER_TABLE, SNAP_DESCRIPTIONS
from voxledger.records.bundle import Asked
from voxledger.records.error_kind import ErrorKind
from voxledger.schema import LabelSchema

_TEXT = """\
# Labels to check: {dataset}, round {number}, for {reviewer}

You have {cases} to look at, {rows} in all. For every line of `decisions.csv` say whether that label is right.

The short way: open `review.html`, here, in Chrome, Edge or Firefox, and in it this folder or the zip that it came in.
It shows one label after another, takes your decisions and corrections, and saves what you send back. Nothing is
installed, and nothing leaves your computer but what you send back. The rest of this page is for those who work in 3D
Slicer or ITK-SNAP.

| in this folder | |
| --- | --- |
| `review.html` | the page to review in (and `review.json`, which it reads) |
| `images/` | the images |
| `labels/` | the proposed labels: correct these |
| `attention/` | where an error is likely (`_heat`), and for which class (`_attention`): a hint, no more |
{weak}{readings}| `{slicer}`, `{snap}` | names and colours for 3D Slicer and ITK-SNAP |
| `decisions.csv` | your answers |
{adjudicate}
## Decide

| decision | when | the label |
| --- | --- | --- |
| `accept` | you would use this label as it is | leave it |
| `revise` | it was wrong, and you have corrected it | correct it and save it |
| `reject` | it is wrong and cannot be mended in reasonable time | leave it, or erase the class |

Then fill in: `minutes` (roughly, for this line), `error_type` (below), `comment` (free text, may stay empty),
`difficulty` (`easy`, `medium` or `hard`; may stay empty).
`confirmed` stays empty, but for a `yes` where your label may look like a slip and is meant: a class that is empty now
(or say `false_positive`), an organ more than 2.5 times as large or as small, a lesion more than 5 times, a class in
another place, or one that you accepted or were not asked about and that gave voxels to one that you corrected. Without
it such a label is held back until you are asked.

| error_type | what was wrong |
| --- | --- |
{errors}

An empty label is an answer too: `accept` if the structure really is not there, `revise` once you have drawn it.
Correct only classes that are in your lines. If you find that another class is wrong, correct it and add a line
with its case, class and `revise`. Voxels that you erase from a class inside another come back as that other one.
Keep the numbers of the classes:

{classes}

## 3D Slicer

1. Drag `images/<case>.nii.gz` into the window, as *Volume*.
2. {load}
3. Correct it in *Segment Editor*, with the image as *Source volume*. Keep the names of the segments: by them they are
   told, and a segment that you delete counts as it was sent. To empty a class, erase it.
4. *Save* the segmentation as `labels/<case>.seg.nrrd`.

## ITK-SNAP

1. *File, Open main image*: `images/<case>.nii.gz`.
2. *Segmentation, Open segmentation*: `labels/<case>.nii.gz`. *Segmentation, Import label descriptions*:
   `{snap}`.
3. Correct it, then *Segmentation, Save segmentation image* over the same file, as NIfTI.

## Send it back

Zip this folder, whole, and send it back the way it came. Images may be left out; `bundle.json`, `decisions.csv` and
the labels that you corrected must be in it. Do not change `bundle.json` or the images. Beside the label as it was sent
there may be one that counts instead: `.seg.nrrd`, `.nrrd`, `.mha`, DICOM SEG or RTSTRUCT (`labels/<case>.dcm`), or one
file a class (`labels/<case>/<class>.nii.gz`). A table edited in Excel is fine, as CSV or `.xlsx`. You may send a part
now and the rest later: parts are put together class by class, and a label that you did not change, or sent before, may
be left out.
"""

_READINGS = """\
| `readings/<reader>/` | what this reader drew of the classes in your lines; the rest is as proposed |
| `{table}` | what every reader decided, and why they are taken to disagree |
"""
_ADJUDICATE = """
Several people read these cases without knowing of one another, and they do not agree on these labels. You see what all
of them said, and what you decide counts. `labels/` holds what they were sent. If one of them is right, copy that
reader's label from `readings/` over the one in `labels/` and decide `revise`; if none is, draw your own. `accept` means
that the label as it was proposed is right after all.
"""
_LOAD_SEGMENTS = "Drag `labels/<case>.seg.nrrd` into the window: names and colours come along."
_LOAD_MAP = (
    "Load `{slicer}` (*Add data*, as *Color table*), then `labels/<case>.nii.gz` as *Segmentation*, with that table, "
    "which names the segments."
)


def bundle_readme(
    dataset: str,
    number: int,
    reviewer: str,
    schema: LabelSchema,
    asked: tuple[Asked, ...],
    weak: bool,
    segments: bool = False,
    readings: str = "",
) -> str:
    """Text of `README.md` of a bundle.

    Parameters
    ----------
    segments
        Whether labels are in it as segmentations of 3D Slicer, too.
    readings
        For an adjudicator, the table of what readers said; empty for a reader, who is told of nobody.
    """
    cases, rows = len({a.case_id for a in asked}), len(asked)
    wanted = {a.class_name for a in asked}
    outer = {c.name: f", lies inside {c.inside} and counts as {c.inside} too" for c in schema.classes if c.inside}
    classes = [f"* {c.id} = {c.name}{outer.get(c.name, '')}" for c in schema.classes if c.name in wanted]
    others = len(schema.classes) - len(classes)
    if others:
        classes.append(f"* and {others} more, which you are not asked about")
    return _TEXT.format(
        dataset=dataset,
        number=number,
        reviewer=reviewer,
        cases=f"{cases} case{'s' * (cases != 1)}",
        rows=f"{rows} label{'s' * (rows != 1)}",
        slicer=SLICER_TABLE,
        snap=SNAP_DESCRIPTIONS,
        load=_LOAD_SEGMENTS if segments else _LOAD_MAP.format(slicer=SLICER_TABLE),
        weak="| `weak/` | what was already marked by somebody: a slice, a diameter |\n" if weak else "",
        readings=_READINGS.format(table=readings) if readings else "",
        adjudicate=_ADJUDICATE if readings else "",
        classes="\n".join(classes),
        errors="\n".join(f"| `{kind.value}` | {kind.meaning} |" for kind in ErrorKind),
    )
