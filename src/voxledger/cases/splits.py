"""Splits are drawn by patient, once and for good: what is learned from a person is never tested on the same one."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping

from voxledger.errors import CaseRefused
from voxledger.params import CasesParams
from voxledger.records.cases import Case, Split


def assign_splits(
    patients: Mapping[str, str],
    labelled: Collection[str],
    split: Split | None,
    params: CasesParams,
    registered: Iterable[Case] = (),
) -> dict[str, Split]:
    """Split of every new case.

    A patient who is registered keeps the split. Of the new ones, those with a label are dealt out in an order drawn
    from `params.seed`: the shares `params.test` and `params.calibration` are shares of these patients; all others go to
    the pool.

    Parameters
    ----------
    patients
        Patient of every new case, by case id.
    labelled
        Case ids of new cases that come with a label.
    split
        Split of all new cases, or None to deal them out.

    Raises
    ------
    CaseRefused
        `split` is not that of a patient who is registered.

    Examples
    --------
    Two visits of one patient stay together:

    >>> params = CasesParams(test=0.5, calibration=0.0, seed=0)
    >>> found = assign_splits({"a-1": "a", "a-2": "a", "b": "b"}, ["a-1", "a-2", "b"], None, params)
    >>> found["a-1"] is found["a-2"], sorted({s.value for s in found.values()})
    (True, ['pool', 'test'])
    """
    known = {c.patient: c.split for c in registered}
    if split is not None:
        torn = [(case_id, p) for case_id, p in patients.items() if known.get(p, split) is not split]
        if torn:
            shown = "; ".join(f"case {c} of patient {p}, of whom cases are in {known[p].value}" for c, p in torn[:10])
            raise CaseRefused(
                f"--split {split.value} would put a patient on two sides: {shown}",
                "add these cases without --split; if another person has the same name elsewhere, name one anew",
            )
        return dict.fromkeys(patients, split)
    new = {patients[case_id] for case_id in labelled if case_id in patients} - known.keys()
    order = sorted(new, key=lambda patient: _draw(patient, params.seed))
    tests, calibrations = round(len(order) * params.test), round(len(order) * params.calibration)
    known |= dict.fromkeys(order[:tests], Split.TEST)
    known |= dict.fromkeys(order[tests : tests + calibrations], Split.CALIBRATION)
    return {case_id: known.get(patient, Split.POOL) for case_id, patient in patients.items()}


def _draw(patient: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{patient}".encode()).hexdigest()
