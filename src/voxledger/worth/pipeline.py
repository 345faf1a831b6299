"""The DVC pipeline of the comparison: a stage for each training, and one for the verdict."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.records.worth import is_judged
from voxledger.textfile import replace_text
from voxledger.worth.arms import Arm

SEEDS = 3
"""Trainings of each arm, at least: one says nothing about the next."""
_LEARNED_FROM = [str(p) for p in (layout.CASES, layout.SCHEMA, layout.IMAGES, layout.BASE_LABELS, layout.BASE_LEDGER)]


def stage_name(cohort: str, arm: Arm, seed: int) -> str:
    """What a training is called in the pipeline.

    Examples
    --------
    >>> stage_name("site B", Arm.WITHOUT, 2)
    'site-B-without-2'
    """
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', cohort)}-{arm.value}-{seed}"


def dice_table(cohort: str, arm: Arm, seed: int) -> Path:
    """Where the Dice of a training is written."""
    return layout.WORTH_PIPELINE.parent / f"{stage_name(cohort, arm, seed)}.csv"


def arms(references: Path | None) -> list[Arm]:
    """The arms that can be compared."""
    return [arm for arm in Arm if arm is not Arm.REFERENCE or references is not None]


def write_pipeline(cohorts: Sequence[str], seeds: int, references: Path | None) -> None:
    """Write the pipeline; stages that are there already and say the same are not run again.

    A table of an earlier version goes, so that DVC makes it anew.

    Raises
    ------
    Misuse
        There are too few seeds, or two cohorts would have the same stages.
    """
    if seeds < SEEDS:
        raise Misuse(f"{seeds} trainings of an arm are too few to tell chance from worth", f"give at least {SEEDS}")
    names = {stage_name(cohort, Arm.WITHOUT, 0) for cohort in cohorts}
    if len(names) < len(cohorts):
        raise Misuse(f"{', '.join(cohorts)} would share files", "name each cohort once, or compare them apart")
    stages: dict[str, Any] = {}
    tables = []
    given = "" if references is None else f" --references {_quoted(references)}"
    for cohort in cohorts:
        for arm in arms(references):
            for seed in range(seeds):
                told = given if arm is Arm.REFERENCE else ""
                tables.append(str(dice_table(cohort, arm, seed)))
                stages[stage_name(cohort, arm, seed)] = {
                    "wdir": "../..",
                    "cmd": f"voxledger cohort measure {_quoted(cohort)} {arm.value} {seed}{told}",
                    "deps": [*_LEARNED_FROM, *([str(references)] if told else [])],
                    "params": [
                        "retrain",
                        "infer",
                        "evaluate",
                        {str(layout.ALGORITHMS): ["retrain", "infer", "evaluate"]},
                    ],
                    "outs": [{tables[-1]: {"cache": False, "persist": True}}],
                }
    for path in map(Path, tables):
        if not is_judged(path):
            path.unlink(missing_ok=True)
    listed = " ".join(_quoted(cohort) for cohort in cohorts)
    stages["verdict"] = {
        "wdir": "../..",
        "cmd": f"voxledger cohort verdict {listed} --seeds {seeds}{given}",
        "deps": tables,
        "params": ["evaluate"],
        "outs": [{str(path): {"cache": False, "persist": True}} for path in (layout.WORTH, layout.WORTH_PAGE)],
    }
    replace_text(layout.WORTH_PIPELINE, _as_yaml({"stages": stages}))


def _quoted(value: str | Path) -> str:
    import shlex

    return shlex.quote(str(value))


def _as_yaml(values: dict[str, Any]) -> str:
    from ruamel.yaml import YAML

    stream, yaml = io.StringIO(), YAML()
    yaml.width = 4096
    yaml.dump(values, stream)
    return f"# Written by `voxledger cohort worth`, which goes on where it was interrupted.\n{stream.getvalue()}"
