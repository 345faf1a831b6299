"""Whether a DICOM file is whole: pydicom reads one that was cut off as if it ended there, without a word."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from voxledger.errors import UnreadableImage

_IMPLICIT, _BIG_ENDIAN = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.2"
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
"""Types of values whose length has four bytes, behind two that mean nothing."""
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_MOST_NESTED = 64


def require_whole(path: Path) -> None:
    """Raise unless every element of a DICOM file ends within the file, and the last one at its end.

    Raises
    ------
    UnreadableImage
        It was cut off, or is damaged.
    """
    content = path.read_bytes()
    try:
        # The meta header is always explicit and little-endian, and says first how long it is.
        (length,) = struct.unpack("<I", content[140:144])
        begin = 144 + length
        syntax = _transfer_syntax(content[144:begin])
        explicit, order = syntax != _IMPLICIT, ">" if syntax == _BIG_ENDIAN else "<"
        _Walk(content, explicit, order).elements(begin, None, 0)
    except (struct.error, ValueError) as error:
        why = "it is cut off" if isinstance(error, struct.error) else str(error)
        raise UnreadableImage(
            f"{path} is damaged or incomplete: {why}", "export it again, and copy it once more"
        ) from None


def _transfer_syntax(meta: bytes) -> bytes:
    at = meta.find(b"\x02\x00\x10\x00UI")
    if at < 0:
        raise ValueError("it does not say how it is encoded")
    (length,) = struct.unpack("<H", meta[at + 6 : at + 8])
    return meta[at + 8 : at + 8 + length].rstrip(b"\0 ")


@dataclass(frozen=True)
class _Walk:
    """Goes from element to element, without reading values."""

    content: bytes
    explicit: bool
    order: str

    def elements(self, at: int, until: int | None, depth: int) -> int:
        """Pass elements up to the tag `until`, or to the end of the file; returns where it goes on."""
        if depth > _MOST_NESTED:
            raise ValueError("its sequences are nested too deeply")
        while at < len(self.content) or until is not None:
            tag, length, at = self._head(at)
            if tag == until:
                return at
            at = self._sequence(at, depth) if length == _UNDEFINED else self._skip(at, length)
        return at

    def _sequence(self, at: int, depth: int) -> int:
        while True:
            tag, length, at = self._head(at)
            if tag == _END_OF_SEQUENCE:
                return at
            if tag != _ITEM:
                raise ValueError("a sequence holds what is no item")
            at = self.elements(at, _END_OF_ITEM, depth + 1) if length == _UNDEFINED else self._skip(at, length)

    def _skip(self, at: int, length: int) -> int:
        if at + length > len(self.content):
            raise ValueError("it is cut off")
        return at + length

    def _head(self, at: int) -> tuple[int, int, int]:
        """Tag and length of an element, and where its value begins."""
        group, element = struct.unpack(f"{self.order}HH", self.content[at : at + 4])
        tag = group << 16 | element
        if not self.explicit or group == 0xFFFE:
            return tag, struct.unpack(f"{self.order}I", self.content[at + 4 : at + 8])[0], at + 8
        if self.content[at + 4 : at + 6] in _LONG:
            return tag, struct.unpack(f"{self.order}I", self.content[at + 8 : at + 12])[0], at + 12
        return tag, struct.unpack(f"{self.order}H", self.content[at + 6 : at + 8])[0], at + 8
