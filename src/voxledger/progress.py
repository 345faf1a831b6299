"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any


class Progress:
    """Counts steps towards a total; on a terminal a bar, otherwise at most one line every ten seconds."""

    def __init__(self, what: str, total: int, done: int = 0) -> None:
        self.what, self.total, self.done = what, total, done
        self._started = self._said = time.monotonic()
        self._bar = _bar(what, total, done) if sys.stderr.isatty() else None
        if self._bar is None and done < total:
            print(f"{what}: {total - done} to do, {done} remembered", file=sys.stderr, flush=True)

    def step(self, note: str = "") -> None:
        """One more is done; `note` is shown beside the count."""
        self.done += 1
        note = printable(note)
        if self._bar is not None:
            self._bar.set_postfix_str(note)
            self._bar.update()
        elif time.monotonic() - self._said > 10 or self.done == self.total:
            self._said = time.monotonic()
            passed = self._said - self._started
            print(f"{self.what}: {self.done}/{self.total} {note} ({passed:.0f} s)", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _bar(what: str, total: int, done: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, initial=done, desc=what, leave=True)


def progress(what: str, total: int, done: int = 0) -> Progress:
    """Start showing the progress of `what`."""
    return Progress(what, total, done)


def printable(text: str) -> str:
    """Text as one line: what would end it, or is not seen, as names of files may hold it, is escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
