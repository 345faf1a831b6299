"""The pictures of `docs/reviewers.md`: `VOXLEDGER_PICTURES=docs pytest tests/page/test_pictures.py` makes them anew."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from voxledger.export.bundle import write_page
from voxledger.imaging.volume import file_sha256, write
from voxledger.phantom.make import make_phantom
from voxledger.phantom.scanner import SITES, Size
from voxledger.records.bundle import Asked, File, make_manifest
from voxledger.schema import read_schema

ROOT = Path(__file__).parents[2]
ASKED = ("liver", "kidney_left", "pancreas", "pdac")


def phantom_bundle(folder: Path) -> None:
    """One phantom whose pancreas was missed in part, where attention points."""
    schema = read_schema(ROOT / "labels.yaml")
    phantom = make_phantom(3, 1, SITES["a"], Size.MEDIUM, 1.0, ["pdac"])
    proposal = phantom.labels.copy()
    pancreas = schema.mask(phantom.labels, "pancreas")
    missed = pancreas & (np.arange(pancreas.shape[2]) > np.argwhere(pancreas)[:, 2].mean() + 12)
    proposal[missed] = 0
    attention = np.where(ndimage.binary_dilation(missed), schema["pancreas"].id, 0).astype(np.uint8)
    heat = ndimage.gaussian_filter(missed.astype(np.float32), 1.5)
    for name, array in (
        ("images/phantom-1.nii.gz", phantom.image),
        ("labels/phantom-1.nii.gz", proposal),
        ("attention/phantom-1_attention.nii.gz", attention),
        ("attention/phantom-1_heat.nii.gz", heat),
    ):
        write(folder / name, array, phantom.grid)
    write_page(folder, {"phantom-1": "CT"})
    files = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    manifest = make_manifest(
        dataset="phantoms",
        round=1,
        reviewer="alice",
        base_version="",
        model_ids=(),
        label_schema=schema,
        asked=tuple(Asked(case_id="phantom-1", class_name=name) for name in ASKED),
        voxels={"phantom-1": phantom.image.size},
        masks={"phantom-1": {}},
        files={name: File(sha256=file_sha256(p), bytes=p.stat().st_size) for name, p in files.items()},
    )
    (folder / "bundle.json").write_bytes(manifest.to_bytes())


@pytest.mark.slow
def test_the_pictures_show_the_page(page: Any, tmp_path: Path) -> None:
    folder = tmp_path / "bundle-r01-alice"
    phantom_bundle(folder)
    out = Path(os.environ.get("VOXLEDGER_PICTURES", str(tmp_path)))
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto((folder / "review.html").as_uri())
    page.set_input_files("#choose-folder", str(folder))
    page.wait_for_selector("#work[data-shown]")
    for key, shown in (("a", "kidney_left"), ("a", "pancreas")):
        page.keyboard.press(key)
        page.wait_for_selector(f"#work[data-shown='phantom-1 {shown}']")
    page.keyboard.press("h")
    page.wait_for_selector("#heat:checked")
    page.wait_for_timeout(300)
    page.screenshot(path=out / "review-page.png")
    assert "place 1 of" in page.inner_text("#place")
    page.keyboard.press("h")
    page.keyboard.press("x")
    page.wait_for_selector("#work[data-shown='phantom-1 pdac']")
    page.keyboard.press("a")
    page.keyboard.press("s")
    page.wait_for_selector("#result-dialog[open]")
    assert "Nothing speaks against" in page.inner_text("#result-text")
    page.locator("#result-dialog").screenshot(path=out / "review-return.png")
