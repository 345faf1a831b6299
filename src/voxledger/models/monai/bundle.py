"""A MONAI bundle's configuration, read without running any of it.

MONAI's own parser evaluates what begins with `$` and makes an object of whatever class `_target_` names. Here only
plain values are taken: references (`@name`, `@name::item`) are followed, and all else that would be run is refused.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from voxledger.errors import VoxledgerError
from voxledger.textfile import parse_yaml, read_json, read_text

METADATA = Path("configs/metadata.json")
STATE_DICT = Path("models", "model.pt")
_INFERENCE = ("configs/inference.json", "configs/inference.yaml", "configs/inference.yml")
_DEPTH = 50
"""References that follow one another; more go round in a circle."""
_MOST = 100_000
"""Values that are taken of a file; references to references to lists make any number of a few lines."""


def inference_file(bundle: Path) -> Path | None:
    """The description of inference in a bundle; None where there is none."""
    return next((bundle / name for name in _INFERENCE if (bundle / name).is_file()), None)


class Configuration:
    """The values of one file, by name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._taken = 0
        self._values = read_json(path) if path.suffix == ".json" else parse_yaml(read_text(path), path)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get(self, name: str) -> Any:
        """A plain value, its references followed.

        Raises
        ------
        VoxledgerError
            It is not there, or something in it would be run.
        """
        if name not in self._values:
            raise self.refuse(name, "is missing", "write it there, or describe the network in network.yaml")
        return self._plain(self._values[name], name, 0)

    def raw(self, name: str) -> Any:
        """A value as it is written, only what it refers to as a whole is followed; None where it is not there."""
        return self.shallow(self._values.get(name), name)

    def shallow(self, value: Any, where: str) -> Any:
        """What an entry refers to as a whole; what is inside stays as it is written."""
        for _ in range(_DEPTH):
            if not (isinstance(value, str) and value.startswith("@")):
                return value
            value = self._referred(value[1:], where)
        raise self.refuse(where, "refers to itself", "correct the file")

    def plain(self, value: Any, where: str) -> Any:
        """A value inside an entry, its references followed; raises as `get`."""
        return self._plain(value, where, 0)

    def refuse(self, name: str, why: str, remedy: str) -> VoxledgerError:
        """The error about one entry of the file."""
        return VoxledgerError(f"{self.path}: {name} {why}", remedy)

    def _plain(self, value: Any, where: str, depth: int) -> Any:
        self._taken += 1
        if depth > _DEPTH or self._taken > _MOST:
            why = "refers to itself" if depth > _DEPTH else f"refers to more than {_MOST:,} values"
            raise self.refuse(where, why, "correct the file")
        if isinstance(value, dict):
            return {k: self._plain(v, f"{where}::{k}", depth + 1) for k, v in value.items()}
        if isinstance(value, list):
            return [self._plain(v, f"{where}::{i}", depth + 1) for i, v in enumerate(value)]
        if isinstance(value, str) and value.startswith("$"):
            return self._literal(value, where)
        if isinstance(value, str) and value.startswith("@"):
            return self._plain(self._referred(value[1:], where), where, depth + 1)
        return value

    def _literal(self, text: str, where: str) -> Any:
        try:
            return ast.literal_eval(text[1:].strip())
        except (ValueError, SyntaxError):
            raise self.refuse(
                where, f"would run code: {text}", "write the value itself in its place, or use network.yaml"
            ) from None

    def _referred(self, name: str, where: str) -> Any:
        value: Any = self._values
        for part in name.replace("#", "::").split("::"):
            try:
                value = value[int(part)] if isinstance(value, list) else value[part]
            except (KeyError, IndexError, ValueError, TypeError):
                raise self.refuse(where, f"refers to {name}, which is not there", "correct the file") from None
        return value
