"""What can go wrong for a user; every error carries what to do next.

Exit codes of the command line and of the stages: 0 done, 1 failed, 2 misuse, 3 waiting for people. `verify` also has 4,
for a version that is not all here.
"""

from __future__ import annotations


class VoxledgerError(Exception):
    """A failure that a user can act on.

    Parameters
    ----------
    problem
        What is wrong, naming the case and the file where there is one.
    remedy
        What to do or type next.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n  → {self.remedy}"


class Misuse(VoxledgerError):
    """The command, the parameters or the label schema are wrong."""

    exit_code = 2


class Waiting(VoxledgerError):
    """Nothing failed: people have to act before the round can go on."""

    exit_code = 3


class UnreadableImage(VoxledgerError):
    """A file is not a readable 3-D image."""


class GridMismatch(VoxledgerError):
    """A label does not share the grid of its image."""


class UnknownLabel(VoxledgerError):
    """A label map holds values that the label schema does not have."""


class CaseRefused(VoxledgerError):
    """A case cannot be registered."""


class BundleRefused(VoxledgerError):
    """A returned bundle is damaged, altered, foreign or contradicts itself."""


class CasesFailed(VoxledgerError):
    """Some cases of a stage failed; the finished ones are kept and not computed again."""


class DiskFailed(VoxledgerError):
    """The machine, not the data, is why something could not be read or written."""


class ClusterFailed(VoxledgerError):
    """The cluster, not the data, is why cases were not computed; the finished ones are kept."""


class ProcessDied(VoxledgerError):
    """A process of ours was killed or ended at one case, however often it was tried."""
