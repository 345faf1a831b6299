"""Whether the readings of a version are what its returned bundles say, which the manifest covers byte for byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.bundles.counted import tables
from voxledger.errors import VoxledgerError
from voxledger.params import ReviewParams
from voxledger.records.bundle import MANIFEST, Manifest, content_sha256, read_manifest, returned_files
from voxledger.records.decisions import Decision, Row, read_decisions
from voxledger.records.readings import Outcome, Reading, by_group, read_readings
from voxledger.release.files_check import Findings
from voxledger.textfile import as_text


@dataclass(frozen=True)
class Kept:
    """One return that a version keeps."""

    manifest: Manifest
    rows: Mapping[tuple[str, str], Row]
    """Lines with a decision, by case and class."""


def kept_returns(found: Findings) -> dict[str, Kept]:
    """All returns of a version that can be read, by their hash.

    What is known to be altered or missing is passed over. Adds a problem for every return that is another one than its
    name says.
    """
    kept = {}
    place = layout.RELEASE_REVISIONS
    for folder in sorted(place.iterdir()) if place.is_dir() else []:
        if is_broken(found, folder.name) or not (folder / MANIFEST).is_file():
            continue
        try:
            manifest = read_manifest((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))
        except VoxledgerError as error:
            found.problems.append(error.problem)
            continue
        files = returned_files(folder)
        if content_sha256(manifest.id, files) != folder.name:
            found.problems.append(f"{folder} is not the return {folder.name[:12]}")
            continue
        said = (read_decisions(folder / path).rows for path in tables(files, manifest))
        rows = {key: row for of_one in said for key, row in of_one.items() if row.decision is not None}
        kept[folder.name] = Kept(manifest, rows)
    return kept


def is_broken(found: Findings, bundle: str) -> bool:
    """Whether files of a return are known to be altered or missing."""
    return any(Path(name).is_relative_to(layout.RELEASE_REVISIONS / bundle) for name in found.unusable)


def readable(found: Findings) -> list[Reading] | None:
    """The readings of a version; None where the table is altered, missing, or of a version that had none.

    Adds a problem where it cannot be read.
    """
    table = layout.RELEASE_READINGS
    if table.as_posix() in found.unusable or not table.is_file():
        return None
    try:
        return read_readings(table)
    except (VoxledgerError, UnicodeDecodeError) as error:
        found.problems.append(error.problem if isinstance(error, VoxledgerError) else f"{table}: is no text")
        return None


def first_round(readings: Iterable[Reading], number: int | None) -> int | None:
    """The first round whose readings a table holds: that of the version itself at the latest."""
    return min({one.version for one in readings} | ({number} if number is not None else set()), default=None)


def check_readings(
    found: Findings,
    readings: Sequence[Reading],
    kept: Mapping[str, Kept],
    number: int | None,
    review: Mapping[str, Any],
) -> int:
    """Compare every reading with the return that it is from, and every decision of a return with its reading.

    Parameters
    ----------
    found
        What is known to be altered or missing is passed over; adds what it finds.
    number
        Round of the version.
    review
        `review` in its `params.yaml`, which says by what method readers of that round were to agree.

    Returns how many readings were compared.
    """
    table, place = layout.RELEASE_READINGS, layout.RELEASE_REVISIONS
    by_bundle: dict[str, list[Reading]] = {}
    for reading in readings:
        by_bundle.setdefault(reading.bundle, []).append(reading)
    problems, compared = list[str](), 0
    for bundle, of_one in by_bundle.items():
        if bundle in kept:
            problems += [problem for one in of_one for problem in _against_return(kept[bundle], one)]
            compared += len(of_one)
        elif not is_broken(found, bundle):
            problems.append(f"the return {bundle[:12]} of {of_one[0].reader} is not in {place}, or cannot be read")
    first = first_round(readings, number)
    for bundle, one_return in kept.items():
        if first is not None and one_return.manifest.round >= first:
            problems += _each_once(one_return, by_bundle.get(bundle, []))
    for group in by_group(readings).values():
        problems += _against_each_other(group)
    problems += _against_params(readings, number, review)
    found.problems += [f"{table}: {problem}" for problem in problems]
    return compared


def _what(case_id: str, class_name: str, reader: str) -> str:
    return f"case {case_id}, class {class_name}, {reader}"


def _against_return(one: Kept, reading: Reading) -> list[str]:
    """What a reading says that its return does not."""
    manifest, row = one.manifest, one.rows.get(reading.key)
    what = _what(reading.case_id, reading.class_name, reading.reader)
    if manifest.reviewer != reading.reader or manifest.round != reading.version:
        return [f"{what}: the return is of {manifest.reviewer} in round {manifest.round}"]
    if row is None or row.decision is not reading.decision:
        said = "nothing" if row is None else row.decision
        return [f"{what}: the return says {said}, not {reading.decision}"]
    shown = manifest.masks.get(reading.case_id, {}).get(reading.class_name)
    problems = [
        f"{what}: {name} {told!r}, and the return says {said!r}"
        for name, told, said in (
            ("minutes", _minutes(reading.minutes), _minutes(row.minutes)),
            ("error_type", reading.error_type, row.error_type.value),
            ("comment", reading.comment, as_text(row.comment)),
            # A reading of format 1 does not say, though its return may.
            ("difficulty", reading.difficulty, reading.difficulty and row.difficulty),
        )
        if told != said
    ]
    if reading.decision is Decision.ACCEPT and shown not in (None, reading.mask_sha256):
        problems.append(f"{what}: another mask was accepted")
    if (reading.decision is Decision.REJECT) == bool(reading.mask_sha256):
        problems.append(f"{what}: says {reading.decision}, with {'a' if reading.mask_sha256 else 'no'} mask")
    return problems


def _minutes(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _each_once(one: Kept, readings: Sequence[Reading]) -> list[str]:
    """Decisions of a return that have no reading, or two."""
    times = Counter(reading.key for reading in readings)
    return [
        f"{_what(*key, one.manifest.reviewer)}: the return says {row.decision}, and there "
        + ("is no such reading" if key not in times else "are several such readings")
        for key, row in sorted(one.rows.items())
        if times[key] != 1
    ]


def _against_each_other(group: Sequence[Reading]) -> list[str]:
    """Whether what became of the readings of one class in one round can be true of all of them."""
    outcomes = [one.outcome for one in group]
    kinds, counted = set(outcomes), outcomes.count(Outcome.COUNTED)
    if len(group) == 1:
        fits = kinds <= {Outcome.COUNTED, Outcome.PENDING}
    else:
        fits = kinds in ({Outcome.PENDING}, {Outcome.MERGED}) or (
            counted == 1 and kinds == {Outcome.COUNTED, Outcome.OVERRULED}
        )
    what = f"round {group[0].version}, case {group[0].case_id}, class {group[0].class_name}"
    if not fits:
        return [f"{what}: {', '.join(f'{one.outcome} of {one.reader}' for one in group)} cannot be"]
    together = len(group) > 1 or outcomes == [Outcome.PENDING]
    if any(bool(one.consensus) != together for one in group):
        return [f"{what}: names {'no' if together else 'a'} method of consensus"]
    return []


def _against_params(readings: Sequence[Reading], number: int | None, review: Mapping[str, Any]) -> list[str]:
    """A round has one method of consensus, and that of the version the one of `params.yaml`, with its adjudicator."""
    methods: dict[int, set[str]] = {}
    for one in readings:
        if one.consensus:
            methods.setdefault(one.version, set()).add(one.consensus)
    problems = [
        f"round {version}: {' and '.join(sorted(names))}, and a round has one method of consensus"
        for version, names in sorted(methods.items())
        if len(names) > 1
    ]
    if number is None:
        return problems
    method, adjudicator = (review.get(key) or getattr(ReviewParams(), key) for key in ("consensus", "adjudicator"))
    if others := methods.get(number, set()) - {method}:
        problems.append(f"consensus by {', '.join(sorted(others))}, and {layout.PARAMS} says {method}")
    problems += [
        f"{_what(one.case_id, one.class_name, one.reader)}: overrules others, and {layout.PARAMS} says that "
        f"{adjudicator or 'nobody'} does"
        for one in readings
        if (one.version, one.outcome) == (number, Outcome.COUNTED) and one.consensus and one.reader != adjudicator
    ]
    return problems
