"""Colour tables of the label schema for viewers."""

from __future__ import annotations

from voxledger.schema import LabelSchema

SLICER_TABLE = "colors_slicer.ctbl"
SNAP_DESCRIPTIONS = "colors_itksnap.txt"


def slicer_table(schema: LabelSchema) -> str:
    """Colour table of 3D Slicer (`.ctbl`): id, name, red, green, blue, opacity."""
    colors = schema.colors()
    rows = [f"# Color table file {SLICER_TABLE}", f"# {len(schema.classes) + 1} values", "0 background 0 0 0 0"]
    rows += [f"{c.id} {c.name} {' '.join(str(v) for v in colors[c.name])} 255" for c in schema.classes]
    return "\n".join(rows) + "\n"


def snap_descriptions(schema: LabelSchema) -> str:
    """Label descriptions of ITK-SNAP: id, red, green, blue, opacity, visible, mesh, name."""
    colors = schema.colors()
    rows = ['0 0 0 0 0 0 0 "Clear Label"']
    rows += [f'{c.id} {" ".join(str(v) for v in colors[c.name])} 1 1 1 "{c.name}"' for c in schema.classes]
    return "\n".join(rows) + "\n"
