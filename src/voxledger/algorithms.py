"""The version of what every stage computes. Raise one where the same input gives another result.

Memo keys have the versions of what a job computes with in them. `algorithms.yaml` in a curation repository has those
that its round is computed with; each is a parameter of its stages in `dvc.yaml`, so that DVC runs a stage again whose
version rose. A voxledger of other versions refuses to compute there.
"""

from __future__ import annotations

from typing import Any

import voxledger
from voxledger import layout
from voxledger.errors import Misuse
from voxledger.textfile import parse_yaml, read_json_if_there, read_text, read_yaml, restoring

STAGES = {
    "cases": 1,
    "infer": 4,
    "precomputed": 2,
    "prompted": 1,
    "weak": 1,
    "calibrate": 3,
    "filter": 6,
    "score": 1,
    "features": 1,
    "export": 4,
    "adjudicate": 2,
    "gate": 3,
    "import": 7,
    "learn": 4,
    "retrain": 5,
    "evaluate": 3,
    "hindsight": 3,
    "readers": 3,
    "quality": 4,
}
"""By stage; what is computed apart in a stage, and remembered apart, has a version of its own: `precomputed`,
`prompted` and `weak` in infer, `features` in score, `hindsight` and `readers` in evaluate, `quality` in both of
these."""
COMMANDS = {"intake": 4, "tune": 2}
"""Of commands that no stage runs."""
PICTURES = {"charts": 1, "pictures": 1}
"""Of what is remembered of the report; nothing else depends on it."""
VERSIONS = STAGES | COMMANDS | PICTURES


def text() -> str:
    """`algorithms.yaml` of this voxledger."""
    lines = "".join(f"{name}: {version}\n" for name, version in STAGES.items())
    return (
        "# Versions of what the stages compute, written by `voxledger upgrade`: DVC runs a stage again whose version "
        f"rose.\nvoxledger: {voxledger.__version__}\n{lines}"
    )


def read_versions() -> dict[str, int]:
    """Versions that this repository is computed with; none where they are not written down, as before pipeline 3."""
    return parse_versions(read_text(layout.ALGORITHMS) if layout.ALGORITHMS.is_file() else None)


def parse_versions(text: str | None) -> dict[str, int]:
    """Those in the text of `algorithms.yaml`; none without one."""
    values = parse_yaml(text, layout.ALGORITHMS) if text else {}
    try:
        return {name: int(version) for name, version in values.items() if name != "voxledger"}
    except (ValueError, TypeError) as error:
        raise Misuse(f"{layout.ALGORITHMS} holds what is no version: {error}", restoring(layout.ALGORITHMS)) from None


def differing(here: dict[str, int]) -> dict[str, tuple[int | None, int | None]]:
    """Versions that differ: those given, and in this voxledger; None where one does not know the name."""
    names = [*STAGES, *(name for name in here if name not in STAGES)]
    return {name: (here.get(name), STAGES.get(name)) for name in names if here.get(name) != STAGES.get(name)}


def require_versions() -> None:
    """Raise `Misuse` unless this voxledger computes what the round here is computed with."""
    if not (differ := differing(read_versions())):
        return
    told = ", ".join(f"{name} {old or '–'} (installed: {new or '–'})" for name, (old, new) in differ.items())
    problem = f"the voxledger that is installed, {voxledger.__version__}, computes otherwise than this round: {told}"
    number = closed_round()
    if number is not None:
        raise Misuse(f"round {number} is closed, and {problem}", how_to_go_on_from_closed())
    raise Misuse(
        problem,
        "`voxledger upgrade --dry-run` shows what would be computed again, and `voxledger upgrade` goes on with this "
        f"voxledger; to go on with the round as before, install {begun_with()}",
    )


def begun_with() -> str:
    """The voxledger that the round here was begun with, in words where `algorithms.yaml` does not say which."""
    return _called(str(_read().get("voxledger") or "the voxledger that began it"))


def closed_round() -> int | None:
    """The number of the round that is closed in this working tree; None where its round is open."""
    manifest = read_json_if_there(layout.MANIFEST) or {}
    number = read_yaml(layout.PARAMS).get("round")
    return number if isinstance(number, int) and manifest.get("round") == number else None


def how_to_go_on_from_closed() -> str:
    """The remedy where this voxledger computes otherwise than the closed round here: which one to install."""
    return (
        f"to compute it again, install {_computed_with()}; to go on to the next round, `voxledger round open`, then "
        "`voxledger upgrade`"
    )


def _computed_with() -> str:
    """What the closed round here was computed with, in words where its manifest does not say which voxledger."""
    manifest = read_json_if_there(layout.MANIFEST) or {}
    for part in ("ran", "closed"):
        made = _entry(_entry(_entry(manifest, part), "environment"), "voxledger")
        if made.get("version"):
            commit = f" (commit {str(made['commit'])[:12]})" if made.get("commit") else ""
            return f"{_called(str(made['version']))}{commit}"
    # As 0.1 wrote it.
    return _called(str(_entry(manifest, "software").get("voxledger") or "the voxledger that computed it"))


def _entry(values: dict[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _called(version: str) -> str:
    return f"voxledger {version}, `pip install 'voxledger[models]=={version}'`" if version[:1].isdigit() else version


def _read() -> dict[str, Any]:
    return read_yaml(layout.ALGORITHMS) if layout.ALGORITHMS.is_file() else {}
