"""Whether a key of pseudonyms is the one that a dataset has, of which `data/key_check.json` does not say so yet."""

from __future__ import annotations

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.records.cases import read_cases
from voxledger.records.pseudonyms import KEY, TABLE, Pseudonyms
from voxledger.records.withdrawn import read_withdrawn, recognise
from voxledger.release.all_versions import all_cases, require_all_of_it


def is_known(key: Pseudonyms) -> bool:
    """Whether cases that were withdrawn, or patients whom the table beside the key has, are called by it.

    False where there are neither, so that nothing tells.

    Raises
    ------
    Misuse
        They are called by another key.
    VoxledgerError
        Somebody was withdrawn, and this clone is shallow.
    """
    if read_withdrawn():
        require_all_of_it()
        recognise(key, (c.case_id for c in all_cases()))
        return True
    made = key.made({c.patient for c in read_cases()})
    if made is False:
        raise Misuse(
            f"{key.folder / KEY} is not the key of this dataset: patients of {layout.CASES} whom {key.folder / TABLE} "
            "has would get other pseudonyms by it",
            "name the folder of the key that cases were added with before, with --keys",
        )
    return made is True
