"""What every script in `stages/` shares: parameters in, an error with its remedy and exit code out."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from pathlib import Path

from voxledger import layout, process
from voxledger.algorithms import closed_round, how_to_go_on_from_closed, require_versions
from voxledger.disk import disk_failure
from voxledger.errors import Misuse, VoxledgerError
from voxledger.extras import missing_extra
from voxledger.params import Params, read_params
from voxledger.portable import pin_instruction_set
from voxledger.process import end_with_dvc
from voxledger.textfile import read_text

PIPELINE = 3
"""Version of what stage scripts and library agree on; scripts of another version are refused."""


Main = Callable[[Params], None]


def stage(pipeline: int) -> Callable[[Main], Callable[[], None]]:
    """Make a stage's `main(params)` a script that runs in the root of a curation repository.

    Parameters
    ----------
    pipeline
        Version of the pipeline that the script belongs to, see `PIPELINE`.
    """
    number = pipeline if isinstance(pipeline, int) else 1  # scripts of pipeline 1 are decorated without it

    def made(main: Main) -> Callable[[], None]:
        @functools.wraps(main)
        def script() -> None:
            end_with_dvc()
            try:
                _require_pipeline(number)
                require_versions()
                params = read_params()
                if params.machine.portable:
                    pin_instruction_set()
                process.at_work = True
                main(params)
            except VoxledgerError as error:
                failure = error
            except Exception as error:
                if (of_the_machine := disk_failure(error) or missing_extra(error)) is None:
                    raise
                failure = of_the_machine
            else:
                process.at_work = False
                return
            print(f"error: {failure}", file=sys.stderr, flush=True)
            sys.exit(failure.exit_code)

        return script

    return made if isinstance(pipeline, int) else made(pipeline)


def require_pipeline(stages: Path = layout.STAGES) -> None:
    """Raise unless this voxledger computes what the stages of a repository do, without running any.

    Its scripts have to be of this pipeline, and the versions in `algorithms.yaml` those of `voxledger.algorithms`.
    """
    require_scripts(stages)
    require_versions()


def require_scripts(stages: Path = layout.STAGES) -> None:
    """Raise unless the stage scripts of a repository are of this pipeline."""
    for number in pipelines(stages):
        _require_pipeline(number)


def pipelines(stages: Path = layout.STAGES) -> list[int]:
    """The pipelines that the stage scripts of a repository belong to, script by script."""
    scripts = map(read_text, sorted(stages.glob("*.py")))
    found = (re.search(r"^@stage(?:\((\d+)\))?$", script, re.MULTILINE) for script in scripts)
    return [int(match[1] or 1) for match in found if match]


def _require_pipeline(pipeline: int) -> None:
    if pipeline == PIPELINE:
        return
    problem = (
        f"the stages of this repository are those of pipeline {pipeline}; the voxledger that is installed runs "
        f"pipeline {PIPELINE}"
    )
    if pipeline > PIPELINE:
        raise Misuse(problem, "install a newer voxledger")
    if (number := closed_round()) is not None:
        raise Misuse(f"round {number} is closed, and {problem}", how_to_go_on_from_closed())
    raise Misuse(
        problem,
        "run `voxledger upgrade` (with --dry-run it shows what will be computed again); a round whose bundles are out "
        "is finished first by the voxledger that began it (0.1 for pipeline 1, 0.2 for pipeline 2)",
    )
