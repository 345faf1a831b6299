"""What `dvc.yaml` and `dvc.lock` say of the stages, and what DVC finds changed since they ran."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.repository import dvc_output, require_nobody_runs
from voxledger.textfile import is_tracked, parse_yaml, read_yaml


@dataclass(frozen=True)
class Output:
    """An output of a stage."""

    path: str
    in_git: bool
    """Whether git holds it, not DVC."""


def outputs(last: str | None = None) -> Iterator[Output]:
    """Outputs of the stages in the order of `dvc.yaml`, up to the stage `last` if one is named."""
    for _, stage in _stages(last):
        for kind in ("outs", "metrics", "plots"):
            for out in stage.get(kind, []):
                path, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
                yield Output(str(path), options.get("cache") is False)


def _stages(last: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Stages by name in the order of `dvc.yaml`, up to `last` if one is named."""
    for name, stage in read_yaml(layout.PIPELINE, "stages")["stages"].items():
        yield name, stage
        if name == last:
            return


def has_artifact(name: str) -> bool:
    """Whether `dvc.yaml` has an artifact of this name."""
    return name in (read_yaml(layout.PIPELINE).get("artifacts") or {})


def changed() -> list[str]:
    """Stages of a round and data files that DVC finds changed, sorted."""
    return sorted(Status.now().entries)


def known_stages(*names: str) -> list[str]:
    """Those of some stages that `dvc.yaml` has here: that of an older voxledger lacks later ones."""
    here = {name for name, _ in _stages()}
    return [name for name in names if name in here]


def changed_outputs(*stages: str) -> set[str]:
    """Outputs of some stages that are not what `dvc.lock` says."""
    return {path for path, _ in _changes(json.loads(dvc_output("status", "--json", *stages)), ["changed outs"])}


@dataclass(frozen=True)
class Status:
    """What DVC finds changed since the stages ran, asked once: it takes DVC a second to answer anything."""

    entries: Mapping[str, Sequence[Any]]
    """As `dvc status --json` gives it: by stage, or by data file under DVC."""

    @classmethod
    def now(cls) -> Status:
        apart = f"{layout.WORTH_PIPELINE.parent.as_posix()}/"  # trainings that no round depends on
        found = json.loads(dvc_output("status", "--json"))
        return cls({name: entries for name, entries in found.items() if not name.startswith(apart)})

    def up_to(self, last: str) -> Status:
        """Of the stages up to `last` in the order of `dvc.yaml`, and of the data files that they read."""
        stages = list(_stages(last)) if self.entries else []
        read = {dependency for _, stage in stages for dependency in stage.get("deps", [])}
        names = {name for name, _ in stages} | {layout.dvc_file(Path(path)).as_posix() for path in read}
        return Status({name: found for name, found in self.entries.items() if name in names})

    @property
    def altered(self) -> list[str]:
        """What these stages read and wrote, and is here, but not as `dvc.lock` says; sorted."""
        found = _changes(self.entries, ("changed deps", "changed outs"))
        return sorted({path for path, state in found if state != "deleted"})


def _changes(entries: Mapping[str, Sequence[Any]], kinds: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Paths with what DVC finds changed of them: `modified`, `new`, `deleted`."""
    for of_stage in entries.values():
        for entry in of_stage:
            for kind in kinds if isinstance(entry, dict) else ():
                yield from entry.get(kind, {}).items()


def lock_hashes(lock: str) -> dict[str, str]:
    """MD5 that a text of `dvc.lock` names, by output."""
    stages = parse_yaml(lock, layout.LOCK, "stages")["stages"].values()
    return {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}


def dvc_file_hash(path: Path) -> str:
    """MD5 that a `.dvc` file names."""
    return str(read_yaml(path, "outs")["outs"][0]["md5"])


def require_whole_dvc_files() -> None:
    """Raise if a file of DVC's breaks off, which DVC itself takes for fewer data or none, or if DVC is at work here.

    One that outlived a killed command may be writing just now.
    Those of the inbox are left out: `voxledger.release.inbox.track_inbox` writes them anew.
    """
    require_nobody_runs()
    for path in (layout.LOCK, *layout.dvc_files()):
        if path.is_file() and not path.read_bytes().endswith(b"\n"):
            raise VoxledgerError(
                f"{path} breaks off, as by a DVC that was killed while it wrote it",
                f"`{'git restore' if is_tracked(path) else 'rm'} {path}`, then run this again",
            )
