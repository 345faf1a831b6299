"""The label schema (`labels.yaml`): classes, ids, codes, colours, and which class lies inside which.

A class that lies inside another counts as the outer one too: the mask of `pancreas` covers its lesions.
Label maps store the innermost class of every voxel.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from voxledger.errors import Misuse, UnknownLabel
from voxledger.records import read_text

TAKEN = {
    "background": "what is no class",
    "ignore": "what training leaves out",
    "any": "all lesions together",
}
"""Names that stand for something else wherever classes are listed by name."""


class LabelClass(BaseModel):
    """One class: `inside` names the class it lies in, `code` is SNOMED CT, `lesion` marks findings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int = Field(ge=1, le=65534)
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    code: str | None = None
    color: tuple[int, int, int] | None = None
    inside: str | None = None
    lesion: bool = False
    may_overlap: tuple[str, ...] = ()


class LabelSchema(BaseModel):
    """All classes of a dataset, ordered by id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    classes: tuple[LabelClass, ...]

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
        return self

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.classes]

    @cached_property
    def by_name(self) -> dict[str, LabelClass]:
        return {c.name: c for c in self.classes}

    def __getitem__(self, name: str) -> LabelClass:
        try:
            return self.by_name[name]
        except KeyError:
            raise Misuse(f"{name} is not a class of {self.name}", f"use one of {', '.join(self.names)}") from None

    def ids_of(self, name: str) -> list[int]:
        """Ids that count as `name`: its own and those of every class inside it, at any depth."""
        return [c.id for c in self.classes if name in self.chain(c.name)]

    def chain(self, name: str) -> list[str]:
        """`name`, the class it lies in, the class that one lies in, and so on outwards."""
        chain = [name]
        while (outer := self.by_name[chain[-1]].inside) is not None:
            chain.append(outer)
        return chain

    def may_overlap(self, a: str, b: str) -> bool:
        """Whether a voxel may belong to both: one lies inside the other, or either allows it."""
        return a in self.chain(b) or b in self.chain(a) or b in self.by_name[a].may_overlap or a in self[b].may_overlap

    def mask(self, labels: npt.NDArray[Any], name: str) -> npt.NDArray[np.bool_]:
        """Binary mask of a class in a label map of any shape, classes inside it included."""
        ids = self.ids_of(name)
        return labels == ids[0] if len(ids) == 1 else np.isin(labels, ids)

    def check(self, labels: npt.NDArray[Any], what: str) -> None:
        """Raise `UnknownLabel` naming `what` if a label map holds an id that is not in the schema."""
        unknown = sorted(set(np.unique(labels).tolist()) - {0, *(c.id for c in self.classes)})
        if unknown:
            shown = ", ".join(str(u) for u in unknown[:10]) + (" …" if len(unknown) > 10 else "")
            raise UnknownLabel(
                f"{what} holds label values that labels.yaml does not have: {shown}",
                "add the classes to labels.yaml, or renumber the label map",
            )

    def colors(self) -> dict[str, tuple[int, int, int]]:
        """A colour a class (r, g, b in 0–255): the one in the schema, or one spread evenly over the hues."""
        import colorsys

        spread = {}
        for i, c in enumerate(self.classes):
            r, g, b = colorsys.hsv_to_rgb((i * 0.618034) % 1.0, 0.65, 0.95)
            spread[c.name] = c.color or (round(r * 255), round(g * 255), round(b * 255))
        return spread


def read_schema(path: Path | str) -> LabelSchema:
    """Read `labels.yaml`; errors name the class and what is wrong with it."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    path = Path(path)
    if not path.exists():
        raise Misuse(f"{path}: no label schema here", "run this in a repository made by `voxledger init`")
    try:
        values = YAML(typ="safe", pure=True).load(read_text(path))
    except (YAMLError, ValueError) as error:
        raise Misuse(f"{path} is not valid YAML: {error}", "correct the file") from None
    try:
        return LabelSchema.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise Misuse(
            f"{path}: {where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}", "correct the file"
        ) from None
