"""Packages with members of families, as pip lays them out: modules, metadata and entry points in one folder."""

from __future__ import annotations

from pathlib import Path


def install(site: Path, name: str, members: dict[str, str], modules: dict[str, str], version: str = "1.2") -> None:
    """Lay out a distribution in a folder that is, or comes, on `sys.path`.

    Parameters
    ----------
    members
        Module by `<family>.<member>`.
    modules
        Text by name of module.
    """
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
    groups: dict[str, list[str]] = {}
    for member, module in members.items():
        family, _, short = member.partition(".")
        groups.setdefault(family, []).append(f"{short} = {module}")
    text = "\n".join("\n".join([f"[voxledger.{family}]", *lines, ""]) for family, lines in groups.items())
    (info / "entry_points.txt").write_text(text, "utf-8")
    for module, source in modules.items():
        (site / f"{module}.py").write_text(source, "utf-8")
