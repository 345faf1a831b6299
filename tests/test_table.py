"""Tables and texts that are written whole or not at all."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys

import pytest

from voxledger.textfile import replace_text, write_table


@pytest.mark.parametrize(
    ("rows", "written"),
    [
        ([], b"a,b\n"),
        ([{"a": "x", "b": "y"}], b"a,b\nx,y\n"),
        ([{"b": 1, "a": 0.5}], b"a,b\n0.5,1\n"),
        ([{"a": "", "b": None}], b"a,b\n,\n"),
        ([{"b": "only"}], b"a,b\n,only\n"),
        ([{"a": "one, two", "b": 'say "no"'}], b'a,b\n"one, two","say ""no"""\n'),
        ([{"a": "line\nbreak", "b": "line\r\nbreak"}], b'a,b\n"line\nbreak","line\r\nbreak"\n'),
        ([{"a": "Läsion", "b": "µl"}], "a,b\nLäsion,µl\n".encode()),
    ],
    ids=["no rows", "one row", "order of columns", "empty cells", "missing cell", "quotes", "newlines", "UTF-8"],
)
def test_bytes_of_a_table(tmp_path, rows, written):
    path = tmp_path / "table.csv"
    write_table(path, ["a", "b"], rows)
    assert path.read_bytes() == written
    with open(path, encoding="utf-8", newline="") as stream:
        read = list(csv.DictReader(stream))
    assert read == [{c: "" if row.get(c) is None else str(row[c]) for c in ("a", "b")} for row in rows]


def test_rows_are_consumed_once_in_their_order(tmp_path):
    write_table(str(tmp_path / "table.csv"), ["n"], ({"n": n} for n in (3, 1, 2)))
    assert (tmp_path / "table.csv").read_text("utf-8") == "n\n3\n1\n2\n"


def test_folders_are_made_and_nothing_is_left_beside(tmp_path):
    write_table(tmp_path / "new" / "folder" / "table.csv", ["a"], [])
    replace_text(tmp_path / "new" / "folder" / "text.json", "{}\n")
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == ["table.csv", "text.json"]


def broken_rows():
    yield {"a": "new"}
    raise RuntimeError("stopped in the middle")


@pytest.mark.parametrize(
    ("rows", "error"),
    [(broken_rows(), RuntimeError), ([{"a": "new"}, {"other": "column"}], ValueError)],
    ids=["stopped", "unknown column"],
)
def test_an_old_table_stays_when_a_new_one_fails(tmp_path, rows, error):
    path = tmp_path / "table.csv"
    write_table(path, ["a"], [{"a": "old"}])
    with pytest.raises(error):
        write_table(path, ["a"], rows)
    assert path.read_bytes() == b"a\nold\n"
    assert list(tmp_path.iterdir()) == [path]


def test_the_part_of_a_killed_process_is_removed_by_the_next(tmp_path):
    """It lay beside params.yaml, and `git add --all` made it part of the version."""
    program = (
        "import os, signal, sys; from voxledger.textfile import write_table\n"
        "write_table(sys.argv[1], ['a'], (os.kill(os.getpid(), signal.SIGKILL) for _ in [1]))"
    )
    path = tmp_path / "table.csv"
    done = subprocess.run([sys.executable, "-c", program, path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [p.name for p in tmp_path.iterdir()] != []
    running = tmp_path / f".table.csv.{os.getppid()}"
    running.touch()
    write_table(path, ["a"], [])
    assert sorted(tmp_path.iterdir()) == [running, path]


@pytest.mark.parametrize("text", ["", "{}\n", "two\nlines", "kept\r\nas it is\n", "µ\n"])
def test_bytes_of_a_text(tmp_path, text):
    path = tmp_path / "text"
    path.write_text("what was there before, and longer", "utf-8")
    replace_text(path, text)
    assert path.read_bytes() == text.encode()
