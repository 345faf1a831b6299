"""`make docs`: strict, complete, and alone with what is here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = """
import sys
from mkdocs.__main__ import cli
try: cli(["build", "--strict", "--quiet", "--site-dir", sys.argv[1]])
except SystemExit as done: code = done.code
print([m for m in ("torch", "numpy", "SimpleITK", "pandas", "dvc") if m in sys.modules])
sys.exit(code)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Strict: a broken link, a missing anchor, a page without a place, a docstring of other arguments stop it."""
    site = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run([sys.executable, "-c", BUILD, str(site)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "[]", "the site is made without importing what it describes"
    return site


def test_the_site_is_whole_and_asks_no_other_host(site: Path) -> None:
    source = ROOT / "src"
    for path in source.rglob("*.py"):
        parts = path.relative_to(source).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not any(part.startswith("_") for part in parts) and parts[:2] != ("voxledger", "cli"):
            assert f'id="{".".join(parts)}"' in (site / "api" / Path(*parts) / "index.html").read_text(), parts

    for page in ("index", "CONTRIBUTING/index", "SECURITY/index", "curators/index"):
        text = (site / f"{page}.html").read_text()
        assert re.findall(r'<(?:script|img|iframe)[^>]* src="?(?:https?:)?//[^>]*', text) == []
        assert re.findall(r'<link[^>]* href="?(?:https?:)?//[^>]*', text) == []
    assert "voxledger round close" in (site / "commands" / "index.html").read_text()

    # No bundle, table or image that may lie beside the pages.
    pages = {p.suffix for p in site.rglob("*") if p.is_file() and "assets" not in p.relative_to(site).parts}
    assert pages <= {".html", ".svg", ".png", ".js", ".json", ".xml", ".gz", ".inv", ".toml", ".cff", ""}
    assert [p.name for p in site.rglob("*.gz")] == ["sitemap.xml.gz"]
