"""The label schema (`labels.yaml`): classes, ids, codes, colours, and which class lies inside which.

A class that lies inside another counts as the outer one too: the mask of `pancreas` covers its lesions.
Label maps store the innermost class of every voxel.

The file is also the record of what classes were called before (`formerly`) and which ones are no longer used
(`retired`), so that older versions and older models are read under today's names. A name or id on record is never
given to another class.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from voxledger import layout
from voxledger.errors import Misuse, UnknownLabel
from voxledger.textfile import read_text

TAKEN = {
    "background": "what is no class",
    "ignore": "what training leaves out",
    "any": "all lesions together",
}
"""Names that stand for something else wherever classes are listed by name."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


class _Record(BaseModel):
    """Leaves out of its dump what is not on record, so that a schema without changes hashes as it always did."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_serializer(mode="wrap")
    def _without_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped: dict[str, Any] = handler(self)
        return {k: v for k, v in dumped.items() if v or k not in ("formerly", "retired")}


class FormerName(BaseModel):
    """What a class was called in the versions before `round`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME_PATTERN)
    round: int = Field(ge=0)
    date: datetime.date


class RetiredClass(_Record):
    """A class that is no longer used: its voxels went to the class it lay `inside`, or to the background."""

    id: int = Field(ge=1, le=65534)
    name: str = Field(pattern=NAME_PATTERN)
    inside: str | None = None
    round: int = Field(ge=0)
    """Round that was open when it was retired; the versions before it have the class."""
    date: datetime.date
    reason: str = Field(min_length=1)
    formerly: tuple[FormerName, ...] = ()


class LabelClass(_Record):
    """One class: `inside` names the class it lies in, `code` is SNOMED CT, `lesion` marks findings."""

    id: int = Field(ge=1, le=65534)
    name: str = Field(pattern=NAME_PATTERN)
    code: str | None = None
    color: tuple[int, int, int] | None = None
    inside: str | None = None
    lesion: bool = False
    may_overlap: tuple[str, ...] = ()
    formerly: tuple[FormerName, ...] = ()


class LabelSchema(_Record):
    """All classes of a dataset, ordered by id, and those that it no longer uses."""

    name: str
    classes: tuple[LabelClass, ...]
    retired: tuple[RetiredClass, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> LabelSchema:
        names = [c.name for c in self.classes]
        ids = [c.id for c in self.classes]
        if len(set(names)) != len(names) or len(set(ids)) != len(ids):
            raise ValueError("class names and ids must be unique")
        for name in names:
            if name in TAKEN:
                raise ValueError(f"{name} names something else: {TAKEN[name]}")
        if ids != sorted(ids):
            raise ValueError("classes must be listed by ascending id")
        for c in self.classes:
            for other in (*([c.inside] if c.inside else []), *c.may_overlap):
                if other not in names:
                    raise ValueError(f"class {c.name} refers to {other}, which is not a class")
            outer: str | None = c.inside
            for _ in self.classes:
                if outer is None:
                    break
                outer = next(k.inside for k in self.classes if k.name == outer)
            if outer is not None:
                raise ValueError(f"class {c.name} lies inside itself")
        self._require_unambiguous()
        return self

    def _require_unambiguous(self) -> None:
        """No name and no id on record may be used for anything else: an older version would be misread."""
        on_record = [(r.name, "is retired") for r in self.retired]
        on_record += [(f.name, f"is a former name of {c.name}") for c in self._on_record for f in c.formerly]
        taken = {c.name: "is a class" for c in self.classes}
        for name, what in on_record:
            if name in taken:
                raise ValueError(f"{name} {taken[name]} and {what}: choose another name")
            taken[name] = what
        ids = {c.id: c.name for c in self.classes}
        for r in self.retired:
            if r.id in ids:
                raise ValueError(f"class {ids[r.id]} has the id {r.id} of {r.name}, which is on record: choose another")
            ids[r.id] = r.name
            if r.inside is not None and r.inside not in taken:
                raise ValueError(f"retired class {r.name} lay inside {r.inside}, which is not on record")

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.classes]

    @cached_property
    def by_name(self) -> dict[str, LabelClass]:
        return {c.name: c for c in self.classes}

    @cached_property
    def lesions(self) -> list[str]:
        """Lesion classes."""
        return [c.name for c in self.classes if c.lesion]

    def __getitem__(self, name: str) -> LabelClass:
        try:
            return self.by_name[name]
        except KeyError:
            told = self.told_of(name) or f"use one of {', '.join(self.names)}"
            raise Misuse(f"{name} is not a class of {self.name}", told) from None

    def require(self, names: Iterable[str], where: str) -> None:
        """Raise `Misuse`, which names the parameter, unless all of these are classes."""
        for name in names:
            try:
                self[name]
            except Misuse as error:
                raise Misuse(f"{layout.PARAMS}: {where}: {error.problem}", error.remedy) from None

    @cached_property
    def _today(self) -> dict[str, str]:
        """The name on record today, of a class or a retired one, by every name that it ever had."""
        found: dict[str, str] = {}
        for c in self._on_record:
            found |= dict.fromkeys([c.name, *(f.name for f in c.formerly)], c.name)
        return found

    @property
    def _on_record(self) -> list[LabelClass | RetiredClass]:
        return [*self.classes, *self.retired]

    @cached_property
    def retired_by_name(self) -> dict[str, RetiredClass]:
        return {r.name: r for r in self.retired}

    def names_of(self, name: str) -> list[str]:
        """Every name of the class that is or was called `name`, today's first; the name alone if none is known."""
        today = self._today.get(name)
        return [today, *(n for n, t in self._today.items() if t == today and n != today)] if today else [name]

    def renamed(self, name: str) -> str | None:
        """Today's name of a class that is or was called `name`; None if it is retired or was never known."""
        today = self._today.get(name)
        return today if today in self.by_name else None

    def holder(self, name: str) -> str | None:
        """The class that voxels labelled `name` belong to today: itself, or, if it is retired, the one it lay in.

        None is the background, or a name that was never known.
        """
        today = self._today.get(name)
        for _ in self.retired:
            if today in self.retired_by_name:
                today = self._today.get(self.retired_by_name[today].inside or "")
        return today if today in self.by_name else None

    def repaint_retired(self, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The label map with the voxels of retired classes given to what holds them today; a copy if there are any."""
        for r in self.retired:
            mine = labels == r.id
            if mine.any():
                holder = self.holder(r.name)
                target = self[holder].id if holder else 0
                labels = labels.astype(np.promote_types(labels.dtype, np.min_scalar_type(target)))
                labels[mine] = target
        return labels

    def is_on_record(self, name: str) -> bool:
        """Whether a class, also a retired one, is or was called so."""
        return name in self._today

    def forgotten(self, older: LabelSchema) -> list[LabelClass | RetiredClass]:
        """What an older version has on record, and this one has neither as a class nor on record under the same id."""
        mine = {c.id: {c.name, *(f.name for f in c.formerly)} for c in self._on_record}
        return [c for c in older._on_record if not {c.name, *(f.name for f in c.formerly)} <= mine.get(c.id, set())]

    def record(self) -> dict[str, Any]:
        """What results by names and ids of before depend on; empty if nothing was ever renamed or retired."""
        former = {n: today for n, today in self._today.items() if n != today}
        retired = [[r.name, r.id, self.holder(r.name)] for r in self.retired]
        return {"former_names": former, "retired": retired} if former or retired else {}

    def told_of(self, name: str) -> str:
        """What the record says of a name that is no class today; empty if nothing."""
        today = self._today.get(name)
        if today is None or name in self.by_name:
            return ""
        if today in self.by_name:
            since = max(f.round for f in self.by_name[today].formerly)
            return f"it is called {today} since round {since}: use that name"
        r = self.retired_by_name[today]
        called = f" as {today}" if name != today else ""
        return f"it was retired{called} in round {r.round} ({r.reason}): older versions have it"

    def way_out(self, name: str) -> str:
        """What to type where the ledger has a class that is not in labels.yaml."""
        today = self._today.get(name)
        if today in self.by_name:
            return f"renaming it was interrupted: `voxledger schema rename {name} {today}` once more"
        if today is not None:
            return f"retiring it was interrupted: `voxledger schema retire {today} --reason …` once more"
        return (
            f"a class is renamed with `voxledger schema rename {name} NEW` and taken out with `voxledger schema retire "
            f"{name} --reason …`: bring back {layout.SCHEMA} (`git checkout {layout.SCHEMA}`) and do that"
        )

    def ids_of(self, name: str) -> list[int]:
        """Ids that count as `name`: its own and those of every class inside it, at any depth."""
        return [self.by_name[n].id for n in self.within(name)]

    def chain(self, name: str) -> list[str]:
        """`name`, the class it lies in, the class that one lies in, and so on outwards."""
        chain = [name]
        while (outer := self.by_name[chain[-1]].inside) is not None:
            chain.append(outer)
        return chain

    def only(self, names: Iterable[str]) -> LabelSchema:
        """The schema of some of its classes, each inside the nearest of them that it lay in; nothing is on record.

        Raises
        ------
        Misuse
            One is not a class.
        """
        kept = {self[name].name for name in names}
        classes = tuple(
            c.model_copy(
                update={
                    "inside": next((n for n in self.chain(c.name)[1:] if n in kept), None),
                    "may_overlap": tuple(n for n in c.may_overlap if n in kept),
                }
            )
            for c in self.classes
            if c.name in kept
        )
        return LabelSchema(name=self.name, classes=classes)

    def within(self, name: str) -> list[str]:
        """A class and all that lie in it, at any depth, in the order of the schema."""
        return [c.name for c in self.classes if name in self.chain(c.name)]

    def repaint(self, labels: npt.NDArray[Any], fewer: LabelSchema) -> npt.NDArray[np.uint16]:
        """A label map of this schema in `fewer` of its classes (`only`): others become the class around, or 0."""
        ids = np.zeros(self.classes[-1].id + 1, np.uint16)
        for c in self.classes:
            kept = next((n for n in self.chain(c.name) if n in fewer.by_name), None)
            ids[c.id] = fewer[kept].id if kept else 0
        repainted: npt.NDArray[np.uint16] = ids[labels]
        return repainted

    def may_overlap(self, a: str, b: str) -> bool:
        """Whether a voxel may belong to both: one lies inside the other, or either allows it."""
        return a in self.chain(b) or b in self.chain(a) or b in self.by_name[a].may_overlap or a in self[b].may_overlap

    def mask(self, labels: npt.NDArray[Any], name: str) -> npt.NDArray[np.bool_]:
        """Binary mask of a class in a label map of any shape, classes inside it included."""
        ids = self.ids_of(name)
        return labels == ids[0] if len(ids) == 1 else np.isin(labels, ids)

    def check(self, labels: npt.NDArray[Any], what: str) -> None:
        """Raise `UnknownLabel` naming `what` if a label map holds an id that is not in the schema."""
        # Slice by slice, and without the background, which is most of it: several times faster
        found = {i for part in labels for i in np.unique(part[part != 0]).tolist()}
        unknown = sorted(found - {c.id for c in self.classes})
        if unknown:
            shown = ", ".join(str(u) for u in unknown[:10]) + (" …" if len(unknown) > 10 else "")
            told = "; ".join(f"{r.id} was {r.name}: {self.told_of(r.name)}" for r in self.retired if r.id in unknown)
            raise UnknownLabel(
                f"{what} holds label values that {layout.SCHEMA} does not have: {shown}",
                told or f"add the classes to {layout.SCHEMA}, or renumber the label map",
            )

    def colors(self) -> dict[str, tuple[int, int, int]]:
        """A colour a class (r, g, b in 0–255): the one in the schema, or one spread evenly over the hues."""
        import colorsys

        spread = {}
        for i, c in enumerate(self.classes):
            r, g, b = colorsys.hsv_to_rgb((i * 0.618034) % 1.0, 0.65, 0.95)
            spread[c.name] = c.color or (round(r * 255), round(g * 255), round(b * 255))
        return spread


def pair(older: LabelSchema, newer: LabelSchema) -> dict[str, str]:
    """Classes that two versions share: the name in the older one → the name in the newer one, in the older's order.

    Either may be the later one in truth: what the record of one does not say, that of the other may.
    """
    found: dict[str, str] = {}
    for c in older.classes:
        for name in (newer.renamed(c.name), *older.names_of(c.name)):
            if name in newer.by_name and name not in found.values():
                found[c.name] = name
                break
    return found


def read_schema(path: Path | str) -> LabelSchema:
    """Read `labels.yaml`; errors name the class and what is wrong with it."""
    path = Path(path)
    if not path.exists():
        raise Misuse(f"{path}: no label schema here", "run this in a repository made by `voxledger init`")
    return parse_schema(read_text(path), str(path))


def parse_schema(text: str, what: str) -> LabelSchema:
    """Parse a `labels.yaml`; `what` names it in errors."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        values = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:
        raise Misuse(f"{what} is not valid YAML: {error}", "correct the file") from None
    try:
        return LabelSchema.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise Misuse(
            f"{what}: {where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}", "correct the file"
        ) from None
