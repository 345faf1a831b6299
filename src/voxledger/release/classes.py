"""Renaming and retiring classes between rounds, on record.

`labels.yaml` is changed first and says what is to be done; everything after it may be killed and repeated. Older
versions stay as they are: their tags hold labels, ledger and the `labels.yaml` of their time.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import mask_sha256, read_grid, read_label, smallest_unsigned, write
from voxledger.params import read_params
from voxledger.progress import progress
from voxledger.records.cases import read_cases
from voxledger.records.errors import read_errors, write_errors
from voxledger.records.ledger import Entry, Ledger, read_ledger, write_ledger
from voxledger.records.sent import require_no_bundles
from voxledger.release.state import require_open
from voxledger.release.trace import schema_at
from voxledger.repository import dvc_add, git, require_root, round_tag, tag_exists
from voxledger.schema import NAME_PATTERN, FormerName, LabelSchema, parse_schema, read_schema
from voxledger.textfile import read_text, read_yaml, replace_text


def rename(old: str, new: str) -> list[str]:
    """Give a class another name in labels.yaml, the base ledger and the table of errors.

    Masks, their hashes and their provenance stay as they are. Returns where params.yaml names the class by its old
    name; that is for a person to change.

    Raises
    ------
    Misuse
        There is no such class, or the new name is or was that of another one.
    VoxledgerError
        The round is closed, or its bundles are out.
    """
    number = _require_between_rounds()
    schema = read_schema(layout.SCHEMA)
    if new not in schema.by_name or old not in schema.names_of(new):
        _require_new_name(schema, schema[old].name, new)
        earlier = _former_names(schema[old].id, number)
        record = earlier.get(old) or FormerName(name=old, round=number, date=date.today())
        _edit_schema(lambda document: _rename_in(document, record, new))
        schema = read_schema(layout.SCHEMA)
    _rename_in_tables(schema)
    git("add", "--", *(p for p in (layout.SCHEMA, layout.BASE_LEDGER, layout.BASE_ERRORS) if p.is_file()))
    return references(old)


def retire(name: str, reason: str) -> tuple[int, list[str]]:
    """Take a class out of the working set: its voxels go to the class it lies in, or to the background.

    Rows of the base ledger go; the table of errors keeps what people found. Returns the number of masks that were
    taken out, and where params.yaml names the class.

    Raises
    ------
    Misuse
        There is no such class, it is the last one, or other classes lie inside it.
    VoxledgerError
        The round is closed, its bundles are out, or a label is not here or not what the ledger says.
    """
    number = _require_between_rounds()
    schema, images = read_schema(layout.SCHEMA), {c.case_id: c.image for c in read_cases()}
    if name not in schema.retired_by_name:
        retired = schema[name]
        inner = [c.name for c in schema.classes if c.inside == name]
        if inner:
            raise Misuse(f"{', '.join(inner)} lies inside {name}", f"retire {inner[0]} first, or keep {name}")
        if len(schema.classes) == 1:
            raise Misuse(f"{name} is the last class", "a dataset needs one")
        if not reason.strip():
            raise Misuse("a reason is needed", "say with --reason why the class is no longer used")
        _require_data(read_ledger(layout.BASE_LEDGER), images)
        record = {
            "id": retired.id,
            "name": name,
            **({"inside": retired.inside} if retired.inside else {}),
            "round": number,
            "date": date.today(),
            "reason": reason.strip(),
        }
        _edit_schema(lambda document: _retire_in(document, name, record))
        schema = read_schema(layout.SCHEMA)
    ledger = read_ledger(layout.BASE_LEDGER)
    gone = {key for key in ledger if key[1] == name}
    _repaint(schema, ledger, images)
    dvc_add(layout.BASE_LABELS)
    write_ledger(layout.BASE_LEDGER, {k: e for k, e in ledger.items() if k not in gone}, schema.names)
    git("add", "--", layout.SCHEMA, layout.BASE_LEDGER)
    return len(gone), references(name)


def references(name: str) -> list[str]:
    """Where params.yaml names a class, such as `filter.rules[1].classes[0]`."""
    found: list[str] = []

    def walk(value: Any, where: str) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                here = f"{where}.{key}" if where else str(key)
                if key == name:
                    found.append(here)
                walk(inner, here)
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                walk(inner, f"{where}[{index}]")
        elif value == name:
            found.append(where)

    walk(read_yaml(layout.PARAMS), "")
    return found


def _require_between_rounds() -> int:
    require_root()
    params = read_params()
    require_open(params)
    require_no_bundles(params, "what comes back would speak of other classes")
    return params.round


def _require_new_name(schema: LabelSchema, old: str, new: str) -> None:
    if not re.fullmatch(NAME_PATTERN, new):
        raise Misuse(f"{new!r} cannot name a class", "use letters, digits and . _ -")
    if schema.is_on_record(new) and new not in schema.names_of(old)[1:]:
        raise Misuse(
            f"{new} is or was the name of another class, and older versions would be misread", "choose another name"
        )


def _edit_schema(edit: Any) -> None:
    """Change labels.yaml, keeping its comments; it is checked before it is written."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = yaml.load(read_text(layout.SCHEMA))
    edit(document)
    stream = io.StringIO()
    yaml.dump(document, stream)
    parse_schema(stream.getvalue(), f"the new {layout.SCHEMA}")
    replace_text(layout.SCHEMA, stream.getvalue())


def _former_names(class_id: int, number: int) -> dict[str, FormerName]:
    """What the version before a round has on record of a class: taking back a rename of the same round keeps that."""
    tag = round_tag(number - 1)
    classes = schema_at(tag).classes if tag_exists(tag) else ()
    return {f.name: f for c in classes if c.id == class_id for f in c.formerly}


def _rename_in(document: Any, record: FormerName, new: str) -> None:
    old = record.name
    for c in document["classes"]:
        if c["name"] == old:
            c["name"] = new
            earlier = [f for f in c.get("formerly") or [] if f["name"] != new]
            c["formerly"] = [record.model_dump(), *earlier]
        if c.get("inside") == old:
            c["inside"] = new
        if old in (c.get("may_overlap") or []):
            c["may_overlap"] = [new if n == old else n for n in c["may_overlap"]]
    for r in document.get("retired") or []:
        if r.get("inside") == old:
            r["inside"] = new


def _retire_in(document: Any, name: str, record: dict[str, Any]) -> None:
    gone = next(c for c in document["classes"] if c["name"] == name)
    document["classes"].remove(gone)
    for c in document["classes"]:
        if name in (c.get("may_overlap") or []):
            c["may_overlap"] = [n for n in c["may_overlap"] if n != name]
    former = {"formerly": gone["formerly"]} if gone.get("formerly") else {}
    document["retired"] = [*(document.get("retired") or []), {**record, **former}]


def _rename_in_tables(schema: LabelSchema) -> None:
    """Bring the base ledger and the table of errors under today's names."""

    def today(name: str) -> str:
        return schema.renamed(name) or name

    def renamed(entry: Entry) -> Entry:
        neighbours = tuple(replace(n, class_name=today(n.class_name)) for n in entry.changed_by)
        return replace(entry, class_name=today(entry.class_name), changed_by=neighbours)

    entries = [renamed(e) for e in read_ledger(layout.BASE_LEDGER).values()]
    write_ledger(layout.BASE_LEDGER, {(e.case_id, e.class_name): e for e in entries}, schema.names)
    if layout.BASE_ERRORS.is_file() and layout.BASE_ERRORS.stat().st_size:
        errors = read_errors(layout.BASE_ERRORS)
        write_errors(layout.BASE_ERRORS, [replace(e, class_name=today(e.class_name)) for e in errors])


def _require_data(ledger: Ledger, images: Mapping[str, str]) -> None:
    cases = sorted({case_id for case_id, _ in ledger})
    needed = [path for c in cases for path in (layout.label_map(layout.BASE_LABELS, c), Path(images[c]))]
    absent = [path for path in needed if not path.is_file()]
    if absent:
        raise VoxledgerError(
            f"{len(absent)} labels and images are not here, the first is {absent[0]}", "run `dvc pull`"
        )


def _repaint(schema: LabelSchema, ledger: Ledger, images: Mapping[str, str]) -> None:
    """Give the voxels of retired classes in the base labels to what holds them; no other mask may change.

    The label of a case of which nothing else is known goes.
    """
    kept: dict[str, list[Entry]] = {case_id: [] for case_id, _ in ledger}
    for (case_id, name), entry in ledger.items():
        if name in schema.by_name:
            kept[case_id].append(entry)
    for leftover in layout.BASE_LABELS.glob(".*.nii.gz"):
        # Half-written by a killed run of the same command.
        leftover.unlink()
    bar = progress("repaint", len(kept))
    for case_id, entries in kept.items():
        path = layout.label_map(layout.BASE_LABELS, case_id)
        if not entries:
            path.unlink(missing_ok=True)
            continue
        grid = read_grid(images[case_id])
        labels = read_label(path, grid)
        painted = schema.repaint_retired(labels)
        if painted is not labels:
            for entry in entries:
                if mask_sha256(schema.mask(painted, entry.class_name), grid) != entry.mask_sha256:
                    raise VoxledgerError(
                        f"{path} is not what {layout.BASE_LEDGER} says of class {entry.class_name}",
                        f"restore it with `dvc checkout {layout.BASE_LABELS}`, then repeat the command",
                    )
            write(path, smallest_unsigned(painted), grid)
        bar.step(case_id)
    bar.close()
