"""Minutes of readers: what was published, what is assumed, and what follows for one mask.

minutes = looks × minutes of a look + drawing
drawing = minutes of a case from nothing ÷ its classes × added path length ÷ path length from nothing

A look is at one class of one case. The classes of a case share its published minutes equally; those that are not in it
have no part. Path lengths are those of Vaassen et al. 2020 (`voxledger.imaging.path_length`): what is only erased is
not drawn, so that it costs a look alone. From nothing, the published minutes are all: they hold the looking, too.
"""

from __future__ import annotations

from collections.abc import Sequence

LOOKING_MINUTES = 0.5
"""Of one look at one class of one case: assumed, nobody published it."""
LOOKING_FACTORS = (0.5, 1.0, 2.0)
"""Savings are given for so many times the minutes of a look, since these are assumed."""
SAIM_SCRATCH_MINUTES, SAIM_CLICKED_MINUTES = 15.0, 3 + 43 / 60
"""A series of kidneys in MR, from nothing and with clicks, as SAIM reports: to repeat its experiment. On other data
these are assumptions."""
CLICK_MINUTES = 0.45
"""Of one click, with finding its place and waiting for the answer: assumed. With `LOOKING_MINUTES`, three clicks at
each of two kidneys then take the 3'43" a series that SAIM reports."""
SCRATCH_MINUTES = 43.0
"""Of a case from nothing, unless `score.scratch_minutes` says otherwise: EfficientAnno's 216 hours for 300 scans."""
REVISE_MINUTES = 15.0
"""Expected minutes to correct one predicted case, by which a worklist is planned: AbdomenAtlas-8K assumes 15."""

PUBLISHED = (
    ("SAIM (Sharing is Caring, section 4.3)", "15 minutes a series of kidneys in MR from nothing, 3'43\" with clicks"),
    (
        "EfficientAnno (Efficient Human-in-the-Loop Pancreatic Tumor Annotation)",
        "216 hours for 300 scans with pancreatic lesions from nothing, 57 with models: 43.2 and 11.4 minutes a scan; "
        "56 and 13 with two lesions or more",
    ),
    ("AbdomenAtlas-8K", "assumes 15 minutes to revise a case and 30 to 60 for an organ from nothing"),
    ("Vaassen et al. 2020", "added path length goes with the time of a correction; it is no figure in minutes"),
)
"""Source, and what it says. Of other people, scans and organs: assumptions about everybody else."""


def drawing(scratch_minutes: float, classes: int, added_mm: float, path_mm: float) -> float:
    """Minutes to draw one mask: its class's share of a case from nothing, by how much of its contour was added.

    Parameters
    ----------
    scratch_minutes
        Of the case from nothing.
    classes
        Classes that are in the case.
    added_mm, path_mm
        Added path length, and that of the whole contour; where it has none, nothing is drawn.

    Examples
    --------
    >>> drawing(43.0, 2, added_mm=50.0, path_mm=100.0)
    10.75
    >>> drawing(43.0, 0, added_mm=0.0, path_mm=0.0)
    0.0
    """
    return from_nothing(scratch_minutes, classes, path_mm) * added_mm / path_mm if path_mm else 0.0


def from_nothing(scratch_minutes: float, classes: int, path_mm: float) -> float:
    """Minutes to draw one mask from nothing: the share of its class, and none where it is empty.

    Examples
    --------
    >>> from_nothing(43.0, 2, path_mm=100.0)
    21.5
    """
    return scratch_minutes / classes if path_mm else 0.0


def saving(minutes: float, scratch_minutes: float) -> float | None:
    """Share of the minutes from nothing that was not spent; below 0 where more was. None where nothing had to be drawn.

    Examples
    --------
    >>> saving(10.0, 40.0)
    0.75
    """
    return 1 - minutes / scratch_minutes if scratch_minutes else None


def looking_values(looking_minutes: float) -> tuple[float, ...]:
    """The minutes of a look that savings are given for: half, once and twice what is assumed."""
    return tuple(factor * looking_minutes for factor in LOOKING_FACTORS)


def assumptions(looking_minutes: float, scratch_minutes: float) -> Sequence[str]:
    """Sentences that stand wherever minutes are shown: what is assumed, and what was published by whom.

    Examples
    --------
    >>> print(assumptions(0.5, 43.0)[0])
    Assumed: 0.5 minutes of looking a class and case; 43 minutes a case from nothing; 0.45 minutes a click.
    """
    return [
        f"Assumed: {looking_minutes:g} minutes of looking a class and case; {scratch_minutes:g} minutes a case from "
        f"nothing; {CLICK_MINUTES:g} minutes a click.",
        *(f"{source}: {said}." for source, said in PUBLISHED),
    ]
