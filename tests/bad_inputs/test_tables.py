"""Tables of decisions that spreadsheets and people make: one meaning, or a finding that names line, case and remedy."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from organ_round import CASES, SCHEMA, Round

from voxledger.records.decisions import Decided, Decision, Row, as_text, read_decisions, to_csv, write_decided

HEAD = "case_id,class_name,decision,minutes,error_type,confirmed,comment\n"
OLD_HEAD = "case_id,class_name,decision,minutes,error_type,comment\n"
WRONG_CELLS = {
    "underscores in a number": ("case_1,liver,accept,1_000,none,,", "minutes '1_000' is not a number"),
    "an exponent": ("case_1,liver,accept,1e3,none,,", "minutes '1e3' is not a number"),
    "hexadecimal": ("case_1,liver,accept,0x10,none,,", "minutes '0x10' is not a number"),
    "a sign": ("case_1,liver,accept,+5,none,,", "minutes '+5' is not a number"),
    "a formula as minutes": ("case_1,liver,accept,=2+3,none,,", "minutes '=2+3' is not a number"),
    "a time": ("case_1,liver,accept,00:05,none,,", "minutes '00:05' is not a number"),
    "a unit": ("case_1,liver,accept,5 min,none,,", "minutes '5 min' is not a number"),
    "two numbers": ('case_1,liver,accept,"1,5,2",none,,', "minutes '1,5,2' is not a number"),
    "a decimal comma without quotes": ("case_1,liver,accept,1,5,none,,x", "has more fields than the first line"),
    "a comma in a comment": ("case_1,liver,accept,1,none,,first, second", "has more fields than the first line"),
    "yes behind a comma": ("case_1,liver,accept,1,none,,seen, yes", "put a text with ',' in it in quotes"),
    "a formula as decision": ('case_1,liver,"=IF(1,""accept"")",1,none,,', "is none of accept, revise, reject"),
    "an unknown decision": ("case_1,liver,ok,1,none,,", "decision 'ok' is none of"),
    "an unknown error type": ("case_1,liver,revise,1,leak,,", "error type 'leak' is none of"),
    "an unknown confirmation": ("case_1,liver,revise,1,none,maybe,", "confirmed 'maybe' is neither yes nor no"),
    "an x as confirmation": ("case_1,liver,revise,1,none,x,", "confirmed 'x' is neither yes nor no"),
    "no class": ("case_1,,revise,1,none,,", "names no case or no class"),
    "another line for the same": ("case_1,liver,accept,1,none,,\ncase_1,liver,revise,1,none,,", "is a second line"),
    "a case that a spreadsheet changed": ("Jan 01,liver,accept,1,none,,", "there is no such case and class"),
    "a class that is not there": ("case_1,lever,accept,1,none,,", "there is no such case and class"),
}


@pytest.mark.parametrize("what", WRONG_CELLS)
def test_a_wrong_cell_is_one_finding(sent: Round, what: str) -> None:
    line, problem = WRONG_CELLS[what]
    folder = sent.give_back({})
    lines = (folder / "decisions.csv").read_text().splitlines()
    others = [one for one in lines[1:] if not one.startswith("case_1,liver,")]
    (folder / "decisions.csv").write_text(HEAD + "\n".join([*others, line]) + "\n")
    (found,) = sent.read().problems
    assert problem in str(found)
    assert "bundle-r01-alice" in str(found)
    assert "decisions.csv" in str(found)
    assert "→" in str(found)


WRONG_HEADS = {
    "a second minutes column": (HEAD.replace("error_type", "minutes,error_type"), "more than one column minutes"),
    "a second error_type column": (HEAD.replace("comment", "comment,Error_Type"), "more than one column error_type"),
    "a second decision column": (HEAD.replace("comment", "comment,DECISION"), "more than one column decision"),
    "a second confirmed column": (HEAD.replace("comment", "comment,confirmed"), "more than one column confirmed"),
    "no decision column": (HEAD.replace("decision", "verdict"), "has no column decision"),
    "a translated header": ("Fall,Klasse,Entscheid,Minuten,Fehler,bestätigt,Kommentar\n", "has no column case_id"),
    "minutes under another name": (
        HEAD.replace("minutes", "time"),
        "has no column minutes in its first line",
    ),
    "error type with a space": (HEAD.replace("error_type", "error type"), "has no column error_type"),
    "no header": ("", "has no column"),
    "a title above the header": ("Decisions of alice\n" + HEAD, "has no column case_id, class_name, decision"),
}


@pytest.mark.parametrize("what", WRONG_HEADS)
def test_a_wrong_header_is_one_finding_and_not_one_a_line(sent: Round, what: str) -> None:
    """It was one for each of 20 lines besides."""
    head, problem = WRONG_HEADS[what]
    folder = sent.give_back({})
    lines = (folder / "decisions.csv").read_text().splitlines()
    (folder / "decisions.csv").write_text(head + "\n".join(lines[1:]) + "\n")
    one = sent.read()
    assert [*one.problems, *one.missing] == list(one.problems)
    (found,) = one.problems
    assert problem in found.problem
    assert "save it as CSV with the columns that were sent" in found.remedy


WRONG_BYTES = {
    "UTF-16 that breaks off": (HEAD + "case_1,liver,accept,1,none,,\n").encode("utf-16")[:-1],
    "a byte that no code page has": HEAD.encode() + b"case_1,liver,accept,1,none,,\x81\n",
    "UTF-16 without a mark": (HEAD + "case_1,liver,accept,1,none,,\n").encode("utf-16-le"),
    "UTF-32": (HEAD + "case_1,liver,accept,1,none,,\n").encode("utf-32"),
    "a workbook": b"PK\x03\x04\x14\x00\x06\x00",
    "an old workbook": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100),
    "nothing": b"",
    "an open quote": HEAD.encode() + b'case_1,liver,accept,1,none,,"open\n',
    "five megabytes": b"x" * (5 << 20),
}


@pytest.mark.parametrize("what", WRONG_BYTES)
def test_what_is_no_text_is_one_finding(sent: Round, what: str) -> None:
    (sent.give_back({}) / "decisions.csv").write_bytes(WRONG_BYTES[what])
    one = sent.read()
    assert len(one.problems) == 1
    assert one.missing == ()
    assert "decisions.csv" in str(one.problems[0])


FORMULAS = ("=HYPERLINK(A1)", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1")


@pytest.mark.parametrize("comment", FORMULAS)
def test_a_formula_is_text_wherever_it_is_written_again(tmp_path: Path, comment: str) -> None:
    row = Row("c", "liver", Decision.ACCEPT, comment=comment)
    safe = f"'{comment}".replace("\r", "\n")
    assert as_text(comment) == safe
    (written,) = csv.DictReader(io.StringIO(to_csv([row]), newline=""))
    assert written["comment"] == safe
    write_decided(tmp_path / "taken.csv", [Decided("c", "liver", Decision.ACCEPT, "r", 1.0, "none", comment)])
    with open(tmp_path / "taken.csv", newline="") as stream:
        assert next(csv.DictReader(stream))["comment"] == safe


def test_a_table_of_before_confirmed_was_there_is_read(sent: Round) -> None:
    """Bundles that went out earlier come back with their own columns; a reviewer may add the new one."""
    folder = sent.give_back({})
    lines = [f"{c},{n},accept,1,none,fine" for c in CASES for n in sent.asked[c]]
    (folder / "decisions.csv").write_text(OLD_HEAD + "\n".join(lines) + "\n")
    assert sent.read().problems == sent.read().missing == ()
    table = read_decisions(folder / "decisions.csv")
    assert len(table.rows) == 3 * len(SCHEMA.names) - 1
    added = OLD_HEAD.strip() + ",confirmed\n" + "\n".join(f"{line},yes" for line in lines) + "\n"
    (folder / "decisions.csv").write_text(added)
    assert all(row.confirmed for row in read_decisions(folder / "decisions.csv").rows.values())
