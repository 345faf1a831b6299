from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxledger.errors import VoxledgerError
from voxledger.records.decisions import (
    TABLE,
    Decided,
    Decision,
    Row,
    read_decided,
    read_decisions,
    to_csv,
    write_decided,
)
from voxledger.records.error_kind import ErrorKind

ROWS = [
    Row("c1", "liver", Decision.ACCEPT, 1.5),
    Row("c1", "lesion", Decision.REVISE, 12.25, ErrorKind.FALSE_NEGATIVE, 'müde; "zwei", \nZeilen', difficulty="hard"),
    Row("c2", "liver"),
]


def _read(tmp_path: Path, content: bytes) -> object:
    path = tmp_path / "decisions.csv"
    path.write_bytes(content)
    return read_decisions(path)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    table = _read(tmp_path, to_csv(ROWS).encode())
    assert list(table.rows.values()) == ROWS
    assert table.problems == []


TEXT = (
    "case_id,class_name,decision,minutes,error_type,comment\nc1,liver,revise,3.5,boundary,naïve\nc2,liver,accept,,,\n"
)


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode("cp1252"),
        TEXT.replace("3.5", "3,5".replace(",", "#")).replace(",", ";").replace("#", ",").encode(),
        ("sep=;\n" + TEXT.replace(",", ";")).encode(),
        TEXT.replace(",", "\t").encode("utf-16"),
        ("\n\n" + TEXT + ",,,,,\n\n").encode(),
        TEXT.replace("revise", " Revised ").replace("boundary", "Boundary").encode(),
        "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in TEXT.splitlines()).encode(),
        TEXT.replace("case_id", "Case_ID").encode(),
        TEXT.replace("\n", "\r").encode(),
        ('"sep=;"\n' + TEXT.replace(",", ";")).encode(),
        ("\ufeffsep=;\r" + TEXT.replace(",", ";").replace("\n", "\r")).encode(),
        ('"sep=,",,,,,\r\n' + TEXT.replace("\n", "\r\n")).encode(),
        ("\nSep=\t\n" + TEXT.replace(",", "\t")).encode("utf-16"),
        TEXT.replace("comment\n", "comment,,\n").encode(),
        TEXT.replace("comment\n", "comment,confirmed,reader\n").encode(),
    ],
)
def test_spreadsheets(tmp_path: Path, content: bytes) -> None:
    table = _read(tmp_path, content)
    assert table.problems == []
    assert table.rows["c1", "liver"] == Row("c1", "liver", Decision.REVISE, 3.5, ErrorKind.BOUNDARY, "naïve")
    assert table.rows["c2", "liver"] == Row("c2", "liver", Decision.ACCEPT)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("c1,liver,ok,1,none,", "decision 'ok' is none of accept, revise, reject"),
        ("c1,liver,accept,-1,none,", "minutes '-1'"),
        ("c1,liver,accept,nan,none,", "minutes 'nan'"),
        ("c1,liver,accept,inf,none,", "minutes 'inf'"),
        ("c1,liver,accept,03. Mai,none,", "minutes '03. Mai'"),
        ("c1,liver,accept,99999,none,", "minutes '99999'"),
        ("c1,liver,accept,1_0,none,", "minutes '1_0'"),
        ("c1,liver,accept,1e1,none,", "minutes '1e1'"),
        ("c1,liver,accept,٣,none,", "minutes '٣'"),
        ("c1,liver,accept,1,wrong,", "error type 'wrong'"),
        ("c1,liver,accept,1,none,,very", "difficulty 'very' is none of easy, medium, hard"),
        ("c1,,accept,1,none,", "names no case or no class"),
        ("c2,liver,reject,1,none,", "second line"),
    ],
)
def test_values_are_never_guessed(tmp_path: Path, line: str, problem: str) -> None:
    head = "case_id,class_name,decision,minutes,error_type,comment,difficulty\nc2,liver,accept,1,none,\n"
    table = _read(tmp_path, (head + line + "\n").encode())
    assert [p for *_, p in table.problems if problem in p]
    assert list(table.rows) == [("c2", "liver")]


@pytest.mark.parametrize("name", ["case_id", "class_name", "decision", "minutes", "error_type", "comment"])
def test_a_second_column_of_a_name_does_not_win(tmp_path: Path, name: str) -> None:
    """The last of two `error_type` or `minutes` was taken, without a word."""
    head = f"case_id,class_name,decision,minutes,error_type,comment, {name.upper()}\n"
    table = _read(tmp_path, (head + "c1,liver,accept,1,none,,2\n").encode())
    assert table.rows == {}
    assert table.problems == [("", "", f"has more than one column {name} in its first line")]


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04\x00\x00", b"case,class,decision\n", b'case_id,class_name,decision\n"open', b"x" * (5 << 20)],
    ids=["empty", "xlsx", "columns", "open quote", "large"],
)
def test_what_is_no_table_is_a_problem(tmp_path: Path, content: bytes) -> None:
    table = _read(tmp_path, content)
    assert table.rows == {}
    assert table.problems


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_rows_or_problems(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        read_decisions_of = Path(folder) / "decisions.csv"
        read_decisions_of.write_bytes(b"case_id,class_name,decision\n" + content)
        read_decisions(read_decisions_of)


def test_what_was_taken_in_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "taken.csv"
    assert read_decided(path) == []
    write_decided(path, [])
    assert read_decided(path) == []
    rows = [
        Decided("c", "liver", Decision.ACCEPT, "r", None, "none"),
        Decided("c", "cyst", Decision.REVISE, "r", 2.5, "boundary", 'a, "b"', "x", 3, "hard"),
    ]
    write_decided(path, rows)
    assert path.read_text("utf-8") == (
        "case_id,class_name,decision,reviewer,minutes,error_type,comment,bundle,changed_voxels,difficulty\n"
        "c,liver,accept,r,,none,,,0,\n"
        'c,cyst,revise,r,2.50,boundary,"a, ""b""",x,3,hard\n'
    )
    assert read_decided(path) == rows


def test_a_table_of_format_1_says_nothing_of_difficulty(tmp_path: Path) -> None:
    path = tmp_path / "taken.csv"
    path.write_text(
        "case_id,class_name,decision,reviewer,minutes,error_type,comment,bundle,changed_voxels\n"
        "c,liver,accept,r,1.50,none,fine,x,3\n"
    )
    assert read_decided(path) == [Decided("c", "liver", Decision.ACCEPT, "r", 1.5, "none", "fine", "x", 3)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (",".join(TABLE.columns) + "\nc,liver,accept,r,soon,,,,,\n", r"taken\.csv, line 2"),
        (
            ",".join(TABLE.columns) + "\nc,liver,accept,r,nan,,,,,\n",
            r"taken\.csv, line 2: minutes 'nan' is not a number",
        ),
        (
            ",".join(TABLE.columns) + "\nc,liver,accept,r,1,,,,,very\n",
            r"taken\.csv, line 2: difficulty 'very' is none of easy, medium, hard",
        ),
        (",".join(TABLE.columns) + "\nc,liver,perhaps,r,1,,,,,\n", r"taken\.csv, line 2"),
        ("case,decision\n", "not a table of decisions"),
    ],
)
def test_a_damaged_table_of_what_was_taken_in_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "taken.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(VoxledgerError, match=said):
        read_decided(path)


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_error_kind_has_a_meaning(kind: ErrorKind) -> None:
    assert kind.meaning
