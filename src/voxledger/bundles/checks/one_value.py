"""one_value: a mask has come back, and no label map: all classes have become one, as in a binary export."""

from __future__ import annotations

from collections.abc import Iterator

from voxledger.bundles.check import Check, Severity, Suspicion
from voxledger.bundles.comparison import Comparison

SHARE = 0.5
"""Of a class that has to have become the one that is left."""


def find(comparison: Comparison) -> Iterator[Suspicion]:
    """Whether one id is left, and what was of other classes has it now.

    A class inside the one that is left may have been given back to it.

    Examples
    --------
    >>> from voxledger.bundles.check import EXAMPLE, example, told
    >>> told(CHECK, example(lambda a: a.__setitem__(a != 0, 1), **dict.fromkeys(EXAMPLE.names, "revise")))
    [': all voxels are 1 = liver, and 5 other classes of the proposal with them: pancreas, lesion, spleen, kidney_left, kidney_right']
    """  # noqa: E501
    pairs, schema = comparison.pairs, comparison.schema
    (left,) = values if len(values := set(pairs.after.tolist()) - {0}) == 1 else (0,)
    name = next((c.name for c in schema.classes if c.id == left), "")
    others = [c for c in schema.classes if name and c.id in pairs.before and name not in schema.chain(c.name)]
    became = []
    for c in others:
        was = pairs.before == c.id
        if int(pairs.count[was & (pairs.after == left)].sum()) >= SHARE * int(pairs.count[was].sum()):
            became.append(c.name)
    if became:
        problem = (
            f"all voxels are {left} = {name}, and {len(became)} other class{'es' * (len(became) > 1)} of the proposal "
            f"with them: {', '.join(became)}"
        )
        yield Suspicion("", problem, "export the label map with the number of every class, not a binary mask")


CHECK = Check(Severity.BLOCKING, find)
