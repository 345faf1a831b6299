"""Whether all that a round starts from is here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.imaging.volume import empty_sha256, read_grid
from voxledger.knowledge import labelled
from voxledger.records.cases import Case, Split, in_split, require_one_channel, require_patients_apart
from voxledger.records.ledger import Entry, Ledger, by_case, read_ledger
from voxledger.repository import file_at, round_tag, tag_exists
from voxledger.schema import LabelSchema, parse_schema


def check_inputs(cases: list[Case], schema: LabelSchema) -> dict[str, dict[str, int]]:
    """Check that all that a round starts from is there; returns counts of cases by split: all, those of which people
    stand behind every class, and those of which they stand behind some.

    Raises
    ------
    Misuse
        Names what is missing and how to provide it.
    VoxledgerError
        A patient is on two sides of a split, or a case has several channels.
    """
    if not cases:
        raise Misuse(
            f"no case is registered in {layout.CASES}, so there is nothing to annotate",
            "`make demo` shows a whole round on example cases in demo/. To start your own dataset: "
            "`voxledger init DIR`, `cd DIR`, `voxledger cases add FOLDER --labels FOLDER`, then `dvc repro`",
        )
    require_patients_apart(cases)
    require_one_channel(cases)
    ledger = read_ledger(layout.BASE_LEDGER)
    require_here(cases, ledger)
    known = {c.case_id for c in cases}
    for case_id, class_name in ledger:
        if case_id not in known:
            raise Misuse(
                f"{layout.BASE_LEDGER} speaks of case {case_id}, which is not registered",
                f"restore {layout.CASES} and the ledger from the same commit",
            )
        if class_name not in schema.names:
            raise Misuse(
                f"{layout.BASE_LEDGER} speaks of class {class_name}, which {layout.SCHEMA} lacks",
                schema.way_out(class_name),
            )
    counts = {s.value: labelled(ledger, (c.case_id for c in in_split(cases, s)), schema.names) for s in Split}
    return {
        "cases": {split.value: len(in_split(cases, split)) for split in Split},
        "complete": {name: found.complete for name, found in counts.items()},
        "partly": {name: found.partly for name, found in counts.items()},
    }


def require_here(cases: Sequence[Case], ledger: Ledger) -> None:
    """Raise `Misuse` where an image or a label of a registered case is not here, as in a clone without its data."""
    absent = [c for c in cases if not Path(c.image).is_file()]
    if absent:
        raise Misuse(
            f"{len(absent)} of {len(cases)} registered images are not here, the first is {absent[0].image}",
            "run `dvc pull`",
        )
    unmarked = [c.weak_label for c in cases if c.weak_label and not Path(c.weak_label).is_file()]
    if unmarked:
        raise Misuse(f"{len(unmarked)} weak labels are not here, the first is {unmarked[0]}", "run `dvc pull`")
    rows = by_case(ledger)
    for case in cases:
        label = layout.label_map(layout.BASE_LABELS, case.case_id)
        if case.case_id in rows and not label.is_file() and not _is_empty(case, rows[case.case_id].values()):
            raise Misuse(f"{label} is not here", "run `dvc pull`")


def require_record(schema: LabelSchema, number: int) -> None:
    """Raise if a name or an id of the last version before round `number` is neither a class nor on record any more.

    Raises
    ------
    Misuse
        Older versions and models would be misread: names the classes, and how they come back.
    """
    tag = next((round_tag(n) for n in reversed(range(number)) if tag_exists(round_tag(n))), None)
    text = None if tag is None else file_at(tag, layout.SCHEMA)
    if text is None:
        return
    if gone := schema.forgotten(parse_schema(text, f"{layout.SCHEMA} at {tag}")):
        raise Misuse(
            f"{layout.SCHEMA} does not say any more what became of {', '.join(f'{c.name} (id {c.id})' for c in gone)}, "
            f"which it has at {tag}",
            f"put back what `git show {tag}:{layout.SCHEMA}` says of it, also under `formerly` and `retired`; then "
            "rename with `voxledger schema rename OLD NEW`, take out with `voxledger schema retire NAME --reason …`",
        )


def _is_empty(case: Case, entries: Iterable[Entry]) -> bool:
    """Whether every mask of a case is empty; older versions wrote no label file then."""
    empty = empty_sha256(read_grid(case.image))
    return all(entry.mask_sha256 == empty for entry in entries)
