"""The table of errors that goes from round to round."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voxledger.errors import VoxledgerError
from voxledger.records.errors import ErrorRow, read_errors, write_errors

ERROR = ErrorRow("c, é", "organ", "here", "boundary", "", 125, 0.625, 25, False, ("a", "b"), round=1)


@pytest.mark.parametrize("rows", [[], [ERROR], [ERROR, replace(ERROR, criterion="uncertain", found=True, models=())]])
def test_read_what_was_written(tmp_path, rows):
    write_errors(tmp_path / "reports/errors.csv", rows)
    assert read_errors(tmp_path / "reports/errors.csv") == rows
    assert b"\r" not in (tmp_path / "reports/errors.csv").read_bytes()


def test_an_empty_file_holds_none_and_another_table_is_refused(tmp_path):
    path = tmp_path / "errors.csv"
    path.write_text("", "utf-8")
    assert read_errors(path) == []
    path.write_text("case_id,kind\na,boundary\n", "utf-8")
    with pytest.raises(VoxledgerError, match="not a table of errors"):
        read_errors(path)
