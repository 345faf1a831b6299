"""Where files of a patient may lie that no command removes: remotes of former times, and where bundles were sent."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from pathlib import Path, PurePosixPath

from voxledger import layout
from voxledger.records.exchange import parse_sending
from voxledger.release.all_versions import texts
from voxledger.repository import CONFIG_LOCAL, dvc_remotes
from voxledger.textfile import read_text_if_there

_CONFIG = PurePosixPath(".dvc/config")
_URL = re.compile(r"^\s*url\s*=\s*(\S.*?)\s*$", re.MULTILINE)


def former_remotes() -> Iterator[str]:
    """Remotes that a committed configuration of DVC names, and today's does not."""
    today = {values.get("url") for values in dvc_remotes().values()}
    for path in (str(_CONFIG), CONFIG_LOCAL):
        today |= set(_URL.findall(read_text_if_there(path) or ""))  # as written: from the folder of the file
    ever = {url for _, text in texts(lambda path: path == _CONFIG) for url in _URL.findall(text)}
    yield from (f"{url} was a remote once, and is none now" for url in sorted(ever - today))


def sent(bundles: Container[str]) -> Iterator[str]:
    """Where `review send` put some bundles, by their names."""
    notes = texts(lambda path: Path(path).parent == layout.EXCHANGE and path.name.startswith("sent-"))
    found = {(one.bundle, one.reviewer, one.to) for one in (parse_sending(text, path) for path, text in notes)}
    for bundle, reviewer, to in sorted(found):
        if bundle in bundles:
            yield f"{bundle} was sent to {to}: see {reviewer}/bundle there, and {reviewer}/return for what came back"
