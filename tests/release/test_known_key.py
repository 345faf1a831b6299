"""Whether a key is that of a dataset, as far as something was made by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from purged_world import case

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.records.cases import write_cases
from voxledger.records.pseudonyms import Pseudonyms, open_pseudonyms
from voxledger.release.known_key import is_known


def test_the_table_beside_a_key_tells(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    Path("data").mkdir()
    key = open_pseudonyms(tmp_path_factory.mktemp("keys"), folder)
    other = Pseudonyms(key.folder, bytes(32))
    known = key.of("patient", "Doe")
    write_cases(layout.CASES, [case("p1"), case("p2")])
    assert not is_known(key)
    key.remember([(known, "PatientID", "Doe"), ("pat1", "PatientName", "Roe"), ("p1", "SeriesInstanceUID", "1.2")])
    assert not is_known(key)  # whoever the table has is not of this dataset
    write_cases(layout.CASES, [case("p1"), case("p2", known)])
    assert is_known(key)
    with pytest.raises(Misuse, match="is not the key of this dataset"):
        is_known(other)
    key.forget(known, ())
    assert not is_known(key)
    assert not is_known(other)
