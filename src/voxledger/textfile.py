"""Text files: tables, JSON and YAML. Written whole or not at all; what cannot be read names file and remedy.

Files that people return, and files of a run that may be made again at any time, have readers of their own.
"""

from __future__ import annotations

import csv
import glob
import io
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from voxledger import layout
from voxledger.disk import disk_failure, naming
from voxledger.errors import VoxledgerError
from voxledger.process import alive, environment_here


class Rows:
    """Rows of a CSV table, each with exactly the columns of the header."""

    def __init__(self, text: str) -> None:
        self._reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)

    @property
    def fieldnames(self) -> list[str] | None:
        """The columns; None for an empty file."""
        return None if self._reader.fieldnames is None else list(self._reader.fieldnames)

    @property
    def line_num(self) -> int:
        """Lines read so far."""
        return self._reader.line_num

    def __iter__(self) -> Iterator[dict[str, str]]:
        for row in self._reader:
            if None in row or None in row.values():
                raise ValueError(f"it has not the {len(self._reader.fieldnames or [])} fields of the header")
            yield row


def read_text(path: Path | str) -> str:
    """The text (UTF-8) of a file that must be there."""
    try:
        return decode(Path(path).read_bytes(), str(path))
    except OSError as error:
        if disk_failure(error) is not None:
            raise
        raise unreadable(path, error.strerror or str(error)) from None


def read_text_if_there(path: Path | str) -> str | None:
    """The same; None where there is no such file. One that only a person can have removed must be there."""
    path = Path(path)
    if path.exists() or path.is_symlink() or (is_tracked(path) and not layout.is_written_by_stages(path)):
        return read_text(path)
    return None


def decode(content: bytes, what: str) -> str:
    """Bytes as UTF-8; `what` names them in errors."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise unreadable(what, f"it is not UTF-8 text (byte {error.start})") from None


@contextmanager
def table(text: str, what: Path | str, columns: Sequence[str] = ()) -> Iterator[Rows]:
    """The rows of a CSV table that voxledger wrote, which has at least these columns.

    Whatever is wrong with a row, here or where the caller converts its values, names file and line.
    """
    rows = Rows(text)
    try:
        if text and not text.endswith("\n"):
            raise unreadable(what, "it ends in the middle of a line, as if it was cut off")
        if lacking := [name for name in columns if name not in (rows.fieldnames or [])]:
            raise unreadable(what, f"it has no column {', '.join(lacking)}")
        yield rows
    except (csv.Error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise VoxledgerError(f"{what}, line {rows.line_num}: {error}", restoring(what)) from None


def read_json(path: Path | str, *keys: str) -> dict[str, Any]:
    """A JSON object that has at least these keys."""
    return _mapping(parse_json(read_text(path), path), path, keys)


def read_json_if_there(path: Path | str, *keys: str) -> dict[str, Any] | None:
    """The same; None where there is no such file, as with `read_text_if_there`."""
    text = read_text_if_there(path)
    return None if text is None else _mapping(parse_json(text, path), path, keys)


def parse_json(text: str, what: Path | str) -> Any:
    """Any JSON; `what` names it in errors."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise unreadable(what, f"it is not JSON: {error}") from None


def read_yaml(path: Path | str, *keys: str) -> dict[str, Any]:
    """A YAML mapping that has at least these keys."""
    return parse_yaml(read_text(path), path, *keys)


def parse_yaml(text: str, what: Path | str, *keys: str) -> dict[str, Any]:
    """The same from text; `what` names it in errors."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        values = YAML(typ="safe", pure=True).load(text)
    except RecursionError:
        raise unreadable(what, "it is nested too deeply") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 0
        # Of a name that is there twice, ruamel quotes both values.
        said = str(error.problem).partition(" with value ")[0]
        raise unreadable(what, f"it is not YAML: line {line}: {said}") from None
    except (YAMLError, ValueError) as error:
        raise unreadable(what, f"it is not YAML: {error}") from None
    return _mapping(values, what, keys)


def line_of(text: str, place: Sequence[str | int]) -> int:
    """The line of YAML text on which a value stands that names and numbers lead to, or what comes next to it.

    Examples
    --------
    >>> line_of("a:\n  b: [1,\n     2]\n", ("a", "b", 1))
    3
    """
    from ruamel.yaml import YAML

    node = YAML(pure=True).compose(text)
    line = int(node.start_mark.line)
    for name in place:
        if isinstance(name, int) and isinstance(node.value, list) and name < len(node.value):
            node = node.value[name]
            line = int(node.start_mark.line)
            continue
        pair = next((p for p in node.value if isinstance(p, tuple) and p[0].value == str(name)), None)
        if pair is None:
            break
        line, node = int(pair[0].start_mark.line), pair[1]
    return line + 1


def _mapping(values: Any, path: Path | str, keys: Sequence[str]) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise unreadable(path, "it does not hold named values")
    if lacking := [key for key in keys if key not in values]:
        raise unreadable(path, f"it has no {', '.join(lacking)}")
    return values


def unreadable(what: Path | str, why: str) -> VoxledgerError:
    """The error for a record that cannot be read."""
    return VoxledgerError(f"{what} cannot be read: {why}", restoring(what))


def restoring(what: Path | str) -> str:
    """How a record comes back, from its path; of a version, where to look."""
    path, _, tag = str(what).partition(" at ")
    if tag:
        return f"it was committed like this: `git log {tag} -- {path}` shows by whom, and what came before"
    under_dvc = next((p for p in Path(path).parents if p.name and p.with_name(f"{p.name}.dvc").is_file()), None)
    if under_dvc is not None:
        return f"run `dvc checkout {under_dvc}`"
    made = layout.is_written_by_stages(path)
    if not is_tracked(path):
        return "run `voxledger round run`, which makes it again" if made else "restore it from a copy"
    return f"run `git restore {path}`" + (", then `voxledger round run`" if made else "")


def is_tracked(path: Path | str) -> bool:
    """Whether git has this file, here or not."""
    # `verify` asks too, and runs no command that a clone names.
    command = ["git", "-c", "core.fsmonitor=false", "ls-files", "--error-unmatch", "--", str(path)]
    try:
        return subprocess.run(command, env=environment_here(), capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def write_table(path: Path | str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV file: a header, then the rows in the order given, consumed one at a time.

    Raises `ValueError` for a row with a column that is not in `columns`; one that a row lacks stays empty.
    """
    with _replacing(Path(path)) as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def as_text(cell: str) -> str:
    """What somebody wrote into a table, so that no spreadsheet takes it for a formula when it is written again.

    Line ends become LF: Python's `csv` writes others without quotes, and then cannot read them.

    Examples
    --------
    >>> as_text("=HYPERLINK(A1)"), as_text("all right")
    ("'=HYPERLINK(A1)", 'all right')
    """
    cell = cell.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\n")) else cell


def replace_text(path: Path | str, text: str) -> None:
    """Write a text file (UTF-8); its newlines stay as they are."""
    with _replacing(Path(path)) as stream:
        stream.write(text)


def replace_bytes(path: Path | str, content: bytes) -> None:
    """The same with a file that is no text."""
    with _replacing(Path(path)) as stream:
        stream.buffer.write(content)


def to_yaml(values: Mapping[str, Any]) -> str:
    """YAML, one entry a line, in the order given; texts stay as they are, however long."""
    from ruamel.yaml import YAML

    yaml, stream = YAML(typ="safe", pure=True), io.StringIO()
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 9999
    yaml.dump(dict(values), stream)
    return stream.getvalue()


def fixed(value: float, decimals: int) -> str:
    """A number with a fixed count of decimals, never a negative zero; `nan` and `inf` by name."""
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*"):
        # What a killed process left would enter a commit.
        writer = leftover.suffix.removeprefix(".")
        if writer.isdigit() and not alive(int(writer)):
            leftover.unlink(missing_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with naming(path):
        try:
            with open(partial, "w", encoding="utf-8", newline="") as stream:
                yield stream
            os.replace(partial, path)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def one_line(text: str) -> str:
    """What a person wrote, on one line and without what a terminal would obey.

    >>> one_line("seen\\n\\nneighbour: accepted \\x1b[31m")
    'seen neighbour: accepted [31m'
    """
    return "".join(c for c in " ".join(text.split()) if c.isprintable())
