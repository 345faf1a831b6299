"""The page that lies in the package is the one that `web/` builds."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from voxledger.page import page

ROOT = Path(__file__).parents[2]
WEB, BUILT = ROOT / "web", ROOT / "src" / "voxledger" / "page"
MOST_BYTES = 1_500_000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def listed_sources() -> str:
    names = ["build.mjs", "package.json", "package-lock.json", "tsconfig.json"]
    names += [f"src/{path.name}" for path in (WEB / "src").iterdir()]
    return "".join(f"{sha256((WEB / name).read_bytes())}  {name}\n" for name in sorted(names))


def test_the_page_is_built_from_these_sources() -> None:
    """If this fails, `make web` builds it anew."""
    sources = sha256(listed_sources().encode())
    listed = dict(reversed(line.split("  ")) for line in (BUILT / "SHA256").read_text().splitlines())
    assert listed == {
        "review.html": sha256(page()),
        "LICENSES.txt": sha256((BUILT / "LICENSES.txt").read_bytes()),
        "sources": sources,
    }
    assert f'<meta name="voxledger-sources" content="{sources}">' in page().decode()


def test_it_is_one_small_file_that_asks_nobody() -> None:
    text = page().decode()
    assert len(page()) <= MOST_BYTES
    assert not re.search(r"https?://|<link(?! rel=\"icon\" href=\"data:,\")|<script src|@import|url\(", text)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "*" not in policy


def test_licences_of_all_that_is_bundled_lie_beside_it() -> None:
    licences = (BUILT / "LICENSES.txt").read_text()
    assert set(re.findall(r"^(\S+) \d+\.\d+\.\d+ \(MIT\)$", licences, re.MULTILINE)) == {"fflate"}
