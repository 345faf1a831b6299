"""What every script in `stages/` shares: parameters in, an error with its remedy and exit code out."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

from voxledger.errors import VoxledgerError
from voxledger.params import Params, read_params


def stage(main: Callable[[Params], None]) -> Callable[[], None]:
    """Make a stage's `main(params)` a script that runs in the root of a curation repository."""

    @functools.wraps(main)
    def script() -> None:
        try:
            main(read_params())
        except VoxledgerError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            sys.exit(error.exit_code)

    return script
