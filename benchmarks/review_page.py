"""How long the review page takes, and how much memory, with one large case: `python benchmarks/review_page.py OUT`.

Makes a bundle with one case of 512 × 512 × 300 voxels (values with the noise of CT, six organs, attention, heat) and
opens it in the Chromium that is installed, without a graphics card. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import sync_playwright

from voxledger.export.bundle import write_page
from voxledger.imaging.volume import Grid, file_sha256, write
from voxledger.records.bundle import Asked, File, make_manifest
from voxledger.schema import LabelClass, LabelSchema

SHAPE = (300, 512, 512)
SCHEMA = LabelSchema(name="abdomen", classes=tuple(LabelClass(id=i, name=f"organ_{i}") for i in range(1, 7)))
STROKES = 20


def make_bundle(folder: Path) -> None:
    """Write the bundle, unless it is there."""
    if (folder / "bundle.json").is_file():
        return
    grid = Grid(SHAPE, (2.0, 0.8, 0.8), (-200.0, -200.0, -300.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    rng = np.random.default_rng(0)
    labels, heat = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.float32)
    for i in range(6):
        z, y, x = 40 + 40 * i, 100 + 50 * i, 120 + 40 * (i % 4)
        labels[z : z + 60, y : y + 90, x : x + 110] = i + 1
        heat[z : z + 12, y : y + 20, x : x + 15] = np.linspace(0.2, 1, 15)
    image = rng.normal(40, 15, SHAPE).astype(np.int16)
    image[:, :60], image[:, -60:] = -1000, -1000
    write(folder / "images/case.nii.gz", image, grid)
    write(folder / "labels/case.nii.gz", labels, grid)
    write(folder / "attention/case_heat.nii.gz", heat, grid)
    write(folder / "attention/case_attention.nii.gz", np.where(heat > 0.5, labels, 0).astype(np.uint8), grid)
    write_page(folder, {"case": "CT"})
    files = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    manifest = make_manifest(
        dataset="large",
        round=1,
        reviewer="alice",
        base_version="",
        model_ids=(),
        label_schema=SCHEMA,
        asked=tuple(Asked(case_id="case", class_name=name) for name in SCHEMA.names),
        voxels={"case": int(np.prod(SHAPE))},
        masks={"case": {}},
        files={name: File(sha256=file_sha256(p), bytes=p.stat().st_size) for name, p in files.items()},
    )
    (folder / "bundle.json").write_bytes(manifest.to_bytes())


def resident(process: psutil.Process) -> float:
    """GB of a process and all below it, counting what they share once."""
    found = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            found += one.memory_full_info().pss
        except psutil.Error:
            continue
    return found / 1e9


def cpu_seconds() -> float:
    """Of all processes that this one started."""
    return sum(sum(one.cpu_times()[:2]) for one in psutil.Process().children(recursive=True))


def main(out: Path) -> None:
    """Open the bundle, draw, step through slices, and save."""
    folder = out / "bundle-r01-alice"
    make_bundle(folder)
    write_page(folder, {"case": "CT"})
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=path, args=["--disable-gpu", "--no-sandbox"])
        page = browser.new_context(viewport={"width": 1600, "height": 1000}).new_page()
        page.goto((folder / "review.html").resolve().as_uri())
        before, busy = time.perf_counter(), cpu_seconds()
        page.set_input_files("#choose-folder", str(folder))
        page.wait_for_selector("#work[data-shown]", timeout=120_000)
        shown, busy = time.perf_counter() - before, cpu_seconds() - busy
        box = page.locator("#axial").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.keyboard.press("e")
        page.evaluate(
            """() => {
              window.frames_ms = [];
              const canvas = document.getElementById("axial");
              canvas.addEventListener("pointermove", () => {
                const at = performance.now();
                requestAnimationFrame(() => setTimeout(() => window.frames_ms.push(performance.now() - at)));
              });
            }"""
        )
        page.mouse.move(x, y)
        page.mouse.down()
        for step in range(STROKES):
            page.mouse.move(x + 5 * step, y + 3 * step)
            page.wait_for_timeout(60)
        page.mouse.up()
        strokes = page.evaluate("window.frames_ms")
        memory = max(resident(child) for child in psutil.Process().children())
        page.keyboard.press("r")
        before = time.perf_counter()
        page.keyboard.press("s")
        page.wait_for_selector("#result-dialog[open]", timeout=60_000)
        result = time.perf_counter() - before
        browser.close()
    print(
        json.dumps(
            {
                "seconds until the first place is shown": round(shown, 1),
                "CPU seconds until then": round(busy, 1),
                "ms a step of a stroke (median, most)": [round(statistics.median(strokes)), round(max(strokes))],
                "seconds to put the return together": round(result, 1),
                "GB of the browser": round(memory, 2),
                "load": round(os.getloadavg()[0], 1),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
