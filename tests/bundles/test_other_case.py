import numpy as np
import pytest

from voxledger.bundles.check import EXAMPLE, Surroundings, example
from voxledger.bundles.checks.other_case import CHECK
from voxledger.bundles.comparison import Comparison
from voxledger.records.decisions import Decision, Row

ROWS = {name: Row("case-7", name, Decision.REVISE) for name in EXAMPLE.names}
WHOLE = example(lambda a: None).proposal
WITHOUT_LIVER = np.where(WHOLE == 1, 0, WHOLE).astype(np.uint8)
OTHER = np.roll(WHOLE, 1, axis=1)


@pytest.mark.parametrize(
    ("proposal", "returned", "other", "named"),
    [
        (WITHOUT_LIVER, WHOLE, OTHER, False),
        (WITHOUT_LIVER, OTHER, OTHER, True),
        (np.zeros_like(WHOLE), WHOLE, WHOLE, False),
        (WHOLE, np.zeros_like(WHOLE), OTHER, False),
    ],
    ids=["what models did not find", "the same of another case", "nothing was proposed", "nothing came back"],
)
def test_classes_that_were_not_proposed_say_nothing_of_whose_label_it_is(
    proposal: np.ndarray, returned: np.ndarray, other: np.ndarray, named: bool
) -> None:
    around = Surroundings(lambda: np.zeros(WHOLE.shape), {}, lambda: iter([("case-8", other)]))
    assert CHECK.find_around is not None
    found = list(CHECK.find_around(Comparison(EXAMPLE, proposal, returned, ROWS), around))
    assert [f.problem.startswith("the label looks like that of case case-8") for f in found] == [True] * named
