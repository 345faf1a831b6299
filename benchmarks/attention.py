"""Time and memory of the attention of one case, against the plain whole-volume implementation of the tests.

    python benchmarks/attention.py                 256×256×128 voxels, 3 models, 9 classes, both implementations
    python benchmarks/attention.py --full          512×512×600 voxels, 5 models, 25 classes, ours alone
    python benchmarks/attention.py --stray         either, with stray wrong voxels all over the volume
    python benchmarks/attention.py --sweep         time against foreground and against volume, with a plot
    python benchmarks/attention.py --profile       where the time goes, and the limit of reading the bytes once

Cases are seeded: organs are ellipsoids at abdominal proportions, with logistic borders one voxel wide and
smooth disagreement between the models. Files are written by the project's own writer and lie in the page cache.
Every measurement runs in a process of its own; peak memory is its largest resident set, interpreter and
libraries included. Compilation is done before and reported apart.

Beside the published criteria stands learned attention of the same case: at most three times the time, and one and a
half times the memory. It reads image and label map too, which counts; its trees, as many and as deep as in a round,
were learned from cells of a small case with errors drawn by chance. The two are compared in CPU seconds, which other
work moves less.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
RANKS = "ranks.safetensors"
"""Beside the weights of a model of errors."""

# name, centre (z, y, x) and radii (z, y, x) as shares of the volume
ORGANS = [
    ("aorta", (0.50, 0.55, 0.52), (0.48, 0.025, 0.025)),
    ("gallbladder", (0.45, 0.40, 0.36), (0.05, 0.04, 0.035)),
    ("kidney_left", (0.40, 0.62, 0.68), (0.12, 0.065, 0.055)),
    ("kidney_right", (0.38, 0.62, 0.34), (0.12, 0.065, 0.055)),
    ("liver", (0.58, 0.45, 0.33), (0.19, 0.20, 0.21)),
    ("pancreas", (0.46, 0.48, 0.55), (0.06, 0.05, 0.13)),
    ("postcava", (0.50, 0.52, 0.45), (0.40, 0.025, 0.03)),
    ("spleen", (0.60, 0.58, 0.74), (0.12, 0.10, 0.06)),
    ("stomach", (0.60, 0.40, 0.62), (0.12, 0.11, 0.11)),
    ("lung_left", (0.80, 0.48, 0.69), (0.18, 0.20, 0.13)),
    ("lung_right", (0.80, 0.48, 0.31), (0.18, 0.20, 0.13)),
    ("heart", (0.76, 0.42, 0.56), (0.12, 0.13, 0.12)),
    ("spine", (0.50, 0.68, 0.50), (0.49, 0.06, 0.05)),
    ("colon", (0.30, 0.42, 0.50), (0.18, 0.14, 0.28)),
    ("small_bowel", (0.26, 0.42, 0.50), (0.12, 0.12, 0.20)),
    ("duodenum", (0.42, 0.47, 0.43), (0.06, 0.04, 0.05)),
    ("adrenal_left", (0.52, 0.58, 0.60), (0.03, 0.02, 0.02)),
    ("adrenal_right", (0.52, 0.58, 0.41), (0.03, 0.02, 0.02)),
    ("bladder", (0.08, 0.45, 0.50), (0.06, 0.08, 0.09)),
    ("hip_left", (0.10, 0.55, 0.68), (0.09, 0.12, 0.09)),
    ("hip_right", (0.10, 0.55, 0.32), (0.09, 0.12, 0.09)),
    ("esophagus", (0.80, 0.56, 0.51), (0.18, 0.02, 0.02)),
    ("psoas_left", (0.30, 0.62, 0.58), (0.18, 0.04, 0.04)),
    ("psoas_right", (0.30, 0.62, 0.42), (0.18, 0.04, 0.04)),
    ("prostate", (0.04, 0.50, 0.50), (0.03, 0.04, 0.04)),
]


def make_case(
    folder: Path, shape: tuple[int, int, int], models: int, organs: list, seed: int, stray: bool = False
) -> None:
    """Write `<folder>/model<i>.b2nd`; `shape` is (z, y, x).

    With `stray`, every model sees every class in a dozen small wrong places all over the volume, as badly
    trained models do, so that the box of every class is nearly the whole volume.
    """
    from voxledger.imaging.soft import write_soft
    from voxledger.imaging.volume import Grid

    def probabilities(model: int):
        for number, (name, centre, radii) in enumerate(organs):
            rng = np.random.default_rng((seed, model, number))
            whole = np.zeros(shape, np.float16)
            mid = [c * n for c, n in zip(centre, shape, strict=True)]
            half = [max(r * n, 2.0) for r, n in zip(radii, shape, strict=True)]
            box = tuple(
                slice(max(int(m - h - 14), 0), min(int(m + h + 15), n))
                for m, h, n in zip(mid, half, shape, strict=True)
            )
            axes = [
                ((np.arange(s.start, s.stop) - m) / h).astype(np.float32)
                for s, m, h in zip(box, mid, half, strict=True)
            ]
            r = np.sqrt(axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2)
            whole[box] = logistic((1 - r) * min(half) + 1.5 * smooth_noise(r.shape, rng))
            for _ in range(12 if stray else 0):
                place = tuple(slice(c, c + 5) for c in (int(rng.integers(0, n - 4)) for n in shape))
                whole[place] = np.maximum(whole[place], np.float16(rng.uniform(0.05, 0.6)))
            yield name, whole

    names = [name for name, *_ in organs]
    for model in range(models):
        path = folder / f"model{model}.b2nd"
        write_soft(path, probabilities(model), names, Grid.plain(shape, (2.5, 0.8, 0.8)), f"model{model}", "image")


def logistic(distance: np.ndarray) -> np.ndarray:
    """Probability by distance to the border in voxels, positive inside."""
    return 1 / (1 + np.exp(-np.clip(distance, -30, 30)))


def smooth_noise(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Standard normal noise on a lattice of 12 voxels, interpolated linearly (z, y, x)."""
    noise = rng.standard_normal([n // 12 + 2 for n in shape]).astype(np.float32)
    for axis, n in enumerate(shape):
        at = np.arange(n) / 12
        low = at.astype(int)
        weight = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        noise = np.take(noise, low, axis) * (1 - weight) + np.take(noise, low + 1, axis) * weight
    return noise


def schema_of(names):
    from voxledger.schema import LabelClass, LabelSchema

    return LabelSchema(name="benchmark", classes=tuple(LabelClass(id=i + 1, name=n) for i, n in enumerate(names)))


def measure_ours(folder: Path, out: Path | None) -> dict:
    """Attention from the files to bit masks; then, apart, writing the contract's files."""
    from voxledger.imaging import volume
    from voxledger.imaging.attention_file import write_attention
    from voxledger.imaging.soft import open_soft
    from voxledger.params import ScoreParams
    from voxledger.score.attention import Attention

    def once():
        predictions = [open_soft(p) for p in sorted(folder.glob("*.b2nd"))]
        schema = schema_of(predictions[0].classes)
        attention = Attention(predictions, schema, ScoreParams())
        voxels = {n: attention[n].attention for n in schema.names}
        return attention, schema, voxels

    import blosc2  # noqa: F401

    from voxledger.score import kernels  # noqa: F401

    load_kernels()
    started, cpu = time.perf_counter(), time.process_time()
    attention, schema, voxels = once()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {"seconds": seconds, "cpu": cpu, "peak_mb": peak, "voxels": voxels}
    if out is not None:
        started = time.perf_counter()
        found = (attention[n] for n in schema.names)
        write_attention(out / "a.b2nd", ((a.name, a.box, a.bits) for a in found), schema.names, attention.grid)
        volume.write(out / "heat.nii.gz", attention.heat, attention.grid)
        result["writing_seconds"] = time.perf_counter() - started
    return result


def make_shown(folder: Path) -> None:
    """Write what learned attention reads beside soft predictions: an image of 16 bits, and the label map of a case."""
    from voxledger.imaging import volume
    from voxledger.imaging.soft import ensemble_box, ensemble_mean, open_soft

    predictions = [open_soft(p) for p in sorted(folder.glob("*.b2nd"))]
    grid = predictions[0].grid
    labels = np.zeros(grid.shape, np.uint8)
    for number, name in enumerate(predictions[0].classes, start=1):
        if (box := ensemble_box(predictions, name)) is not None:
            labels[box][ensemble_mean(predictions, name, box) > 0.5] = number
    image, rng = labels.astype(np.int16) * 8, np.random.default_rng(0)
    for plane in image:
        plane += rng.integers(0, 60, plane.shape, np.int16)
    volume.write(folder / "image.nii.gz", image, grid)
    volume.write(folder / "labels.nii.gz", labels, grid)


def make_model() -> Any:
    """Trees of a small case in which cells are wrong by chance, the more so the more models doubt; and a threshold."""
    from voxledger.imaging import volume
    from voxledger.imaging.soft import open_soft
    from voxledger.params import ScoreParams
    from voxledger.score.attention import Attention
    from voxledger.score.cells import FEATURES, CaseCells
    from voxledger.score.error_model import learn_trees
    from voxledger.score.ranks import quantiles, ranks_of

    with tempfile.TemporaryDirectory() as folder:
        make_case(Path(folder), (64, 96, 96), 3, ORGANS[:9], 1)
        make_shown(Path(folder))
        predictions = [open_soft(p) for p in sorted(Path(folder).glob("*.b2nd"))]
        schema = schema_of(predictions[0].classes)
        labels, image = (volume.read(Path(folder) / f"{name}.nii.gz").array for name in ("labels", "image"))
        case, attention = CaseCells(predictions, labels, image, schema), Attention(predictions, schema, ScoreParams())
        found = [case.of(attention[name], number) for number, name in enumerate(schema.names)]
    cells = {name: one for name, one in zip(schema.names, found, strict=True) if one is not None}
    values = np.concatenate([one.features for one in cells.values()])
    ranks = ranks_of([{name: quantiles(one.features).tolist() for name, one in cells.items()}])
    rows = np.concatenate([ranks(name, one.features) for name, one in cells.items()])
    wrong = np.random.default_rng(0).random(len(rows)) < values[:, FEATURES.index("entropy")]
    model = learn_trees(rows, wrong, np.ones(len(rows)), 0)
    return model, ranks, float(np.quantile(model.scores(rows), 0.9))


def measure_learned(folder: Path, model_file: Path) -> dict:
    """The same from the files to bit masks and heat map, with a model of errors."""
    from voxledger.imaging import volume
    from voxledger.imaging.soft import open_soft
    from voxledger.params import ScoreParams
    from voxledger.score.attention import Attention
    from voxledger.score.cells import FEATURES, CaseCells
    from voxledger.score.error_model import read_error_model
    from voxledger.score.learned import attend_learned
    from voxledger.score.ranks import read_ranks

    model, ranks = read_error_model(model_file, len(FEATURES)), read_ranks(model_file.with_name(RANKS))
    threshold = float(model.found_at[0])

    def once(folder: Path) -> dict[str, int]:
        predictions = [open_soft(p) for p in sorted(folder.glob("*.b2nd"))]
        schema = schema_of(predictions[0].classes)
        attention = Attention(predictions, schema, ScoreParams())
        labels = volume.read_label(folder / "labels.nii.gz", attention.grid)
        case = CaseCells(predictions, labels, volume.read(folder / "image.nii.gz").array, schema)
        _, found = attend_learned(case, attention, ranks, model, schema.names, threshold)
        return {one.name: one.attention for one in found}

    with tempfile.TemporaryDirectory() as small:
        make_case(Path(small), (16, 16, 16), 2, ORGANS[:2], 0)
        make_shown(Path(small))
        once(Path(small))
    started, cpu = time.perf_counter(), time.process_time()
    voxels = once(folder)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "cpu": cpu, "peak_mb": peak, "voxels": voxels}


def load_kernels() -> None:
    """Run everything once on a tiny case, so that compiled code is loaded; compiles it where that was never done."""
    from voxledger.imaging.soft import open_soft
    from voxledger.params import ScoreParams
    from voxledger.score.attention import Attention

    with tempfile.TemporaryDirectory() as folder:
        make_case(Path(folder), (16, 16, 16), 2, ORGANS[:2], 0)
        predictions = [open_soft(p) for p in sorted(Path(folder).glob("*.b2nd"))]
        Attention(predictions, schema_of(predictions[0].classes), ScoreParams())["aorta"]


def measure_plain(folder: Path) -> dict:
    """The implementation of the tests: whole volumes of float64."""
    sys.path.insert(0, str(ROOT / "tests/score"))
    import plain_attention

    from voxledger.imaging.soft import open_soft
    from voxledger.params import ScoreParams

    started = time.perf_counter()
    predictions = [open_soft(p) for p in sorted(folder.glob("*.b2nd"))]
    schema = schema_of(predictions[0].classes)
    models = [{n: p.read(n).astype(np.float64) for n in p.classes} for p in predictions]
    bits, _ = plain_attention.attention(models, schema, ScoreParams())
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "peak_mb": peak, "voxels": {n: int(np.count_nonzero(b)) for n, b in bits.items()}}


def measure_reading(folder: Path) -> dict:
    """Decompress what the boxes of the classes hold, once, and nothing else."""
    from voxledger.imaging.soft import ensemble_box, open_soft

    predictions = [open_soft(p) for p in sorted(folder.glob("*.b2nd"))]
    started = time.perf_counter()
    values = 0
    for name in predictions[0].classes:
        box = ensemble_box(predictions, name)
        for prediction in predictions:
            values += prediction.read(name, box).size
    seconds = time.perf_counter() - started
    stored = sum(p.stat().st_size for p in folder.glob("*.b2nd"))
    return {"seconds": seconds, "values": values, "stored_mb": stored / 2**20}


def apart(what: str, folder: Path, out: Path | None = None) -> dict:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--measure", what, "--case", str(folder)]
    if out is not None:
        command += ["--out", str(out)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def best(what: str, folder: Path, times: int, out: Path | None = None) -> dict:
    return min((apart(what, folder, out) for _ in range(times)), key=lambda r: r["seconds"])


def report(title: str, folder: Path, bounds: tuple[float, float], with_plain: bool, times: int) -> None:
    first = time.perf_counter()
    apart("load", folder)
    print(f"\n{title}\n  compile and load, once a machine  {time.perf_counter() - first:6.1f} s")
    with tempfile.TemporaryDirectory() as out:
        ours = best("ours", folder, times, Path(out))
    reading = best("reading", folder, times)
    print(f"  attention                         {ours['seconds']:6.2f} s   bound {bounds[0]} s")
    print(f"  peak memory                       {ours['peak_mb']:6.0f} MB  bound {bounds[1]:.0f} MB")
    print(f"  writing attention and heat map    {ours['writing_seconds']:6.2f} s")
    print(
        f"  reading the bytes once            {reading['seconds']:6.2f} s   "
        f"{reading['values'] / 1e6:.0f} M values in the boxes, {reading['stored_mb']:.0f} MB stored"
    )
    if with_plain:
        plain = apart("plain", folder)
        same = plain["voxels"] == ours["voxels"]
        print(f"  plain implementation              {plain['seconds']:6.2f} s   {plain['peak_mb']:.0f} MB")
        print(
            f"  ratio                             {plain['seconds'] / ours['seconds']:6.1f} × faster, "
            f"{plain['peak_mb'] / ours['peak_mb']:.1f} × less memory; same voxel counts: {same}"
        )
    if ours["seconds"] > bounds[0] or ours["peak_mb"] > bounds[1]:
        print("  BOUND MISSED")
    report_learned(folder, ours, times)


def report_learned(folder: Path, ours: dict, times: int) -> None:
    """Learned attention beside the published criteria."""
    from dataclasses import replace

    from voxledger.records.card import WEIGHTS, save_arrays
    from voxledger.score.error_model import tensors_of
    from voxledger.score.ranks import write_ranks

    if not (folder / "labels.nii.gz").is_file():
        make_shown(folder)
    model, ranks, threshold = make_model()
    with tempfile.TemporaryDirectory() as out:
        save_arrays(Path(out), tensors_of(replace(model, found_at=np.array([threshold]))))
        write_ranks(Path(out) / RANKS, ranks)
        found = best("learned", folder, times, Path(out) / WEIGHTS)
    slower, larger = found["cpu"] / ours["cpu"], found["peak_mb"] / ours["peak_mb"]
    print(
        f"  learned attention                 {found['seconds']:6.2f} s   {found['cpu']:.2f} CPU s, {slower:.2f} × the "
        "CPU time, bound 3"
    )
    print(f"  peak memory                       {found['peak_mb']:6.0f} MB  {larger:.2f} × the memory, bound 1.5")
    if slower > 3 or larger > 1.5:
        print("  BOUND MISSED")


def sweep(plot: Path) -> None:
    """Time against foreground at one volume, and against volume at one foreground."""
    shape = (256, 384, 384)
    scaled, grown = [], []
    for scale in (0.25, 0.5, 0.75, 1.0, 1.25):
        organs = [(n, c, tuple(r * scale for r in radii)) for n, c, radii in ORGANS[:13]]
        scaled.append(timed(shape, organs))
    for factor in (0.75, 1.0, 1.25, 1.5):
        larger = tuple(int(n * factor) for n in shape)
        organs = [(n, c, tuple(0.6 * r / factor for r in radii)) for n, c, radii in ORGANS[:13]]
        grown.append((int(np.prod(larger)), timed(larger, organs)[1]))
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), sharey=True)
    left.plot([v / 1e6 for v, _ in scaled], [s for _, s in scaled], "o-")
    left.set(xlabel="values inside class boxes (millions)", ylabel="seconds", title="more foreground, same volume")
    right.plot([v / 1e6 for v, _ in grown], [s for _, s in grown], "o-")
    right.set(xlabel="voxels of the volume (millions)", title="larger volume, same foreground")
    left.set_ylim(0)
    left.set_xlim(0)
    right.set_xlim(0)
    figure.tight_layout()
    plot.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(plot, metadata={"Date": None, "Creator": None})
    print(f"\nmore foreground, same volume ({'×'.join(map(str, shape))})")
    for values, seconds in scaled:
        print(f"  {values / 1e6:7.0f} M values  {seconds:6.2f} s  {1e9 * seconds / values:5.2f} ns a value")
    print("larger volume, same foreground")
    for voxels, seconds in grown:
        print(f"  {voxels / 1e6:7.0f} M voxels  {seconds:6.2f} s")
    print(f"plot: {plot}")


def timed(shape: tuple[int, ...], organs: list) -> tuple[int, float]:
    with tempfile.TemporaryDirectory() as folder:
        make_case(Path(folder), shape, 3, organs, 0)
        return apart("reading", Path(folder))["values"], best("ours", Path(folder), 5)["seconds"]


def profile(folder: Path) -> None:
    import cProfile
    import pstats

    load_kernels()
    profiler = cProfile.Profile()
    profiler.runcall(measure_ours, folder, None)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(14)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="512×512×600, 5 models, 25 classes")
    parser.add_argument("--stray", action="store_true", help="stray wrong voxels: class boxes span the volume")
    parser.add_argument("--sweep", action="store_true", help="time against foreground and volume")
    parser.add_argument("--profile", action="store_true", help="where the time goes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="keep the made cases here and use them again")
    parser.add_argument("--measure", choices=["load", "ours", "plain", "reading", "learned"], help=argparse.SUPPRESS)
    parser.add_argument("--case", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        run = {
            "load": lambda: load_kernels() or {},
            "ours": lambda: measure_ours(given.case, given.out),
            "plain": lambda: measure_plain(given.case),
            "reading": lambda: measure_reading(given.case),
            "learned": lambda: measure_learned(given.case, given.out),
        }
        print(json.dumps(run[given.measure]()))
        return
    if given.sweep:
        sweep(ROOT / "docs/attention-time.svg")
        return
    with tempfile.TemporaryDirectory() as scratch:
        size = "full" if given.full else "small"
        folder = (given.keep or Path(scratch)) / f"{size}-{given.seed}{'-stray' if given.stray else ''}"
        if not folder.is_dir():
            folder.mkdir(parents=True)
            if given.full:
                make_case(folder, (600, 512, 512), 5, ORGANS, given.seed, given.stray)
            else:
                make_case(folder, (128, 256, 256), 3, ORGANS[:9], given.seed, given.stray)
        if given.profile:
            profile(folder)
        elif given.full:
            report("512×512×600 voxels, 5 models, 25 classes", folder, (60, 2500), False, 1)
        else:
            report("256×256×128 voxels, 3 models, 9 classes", folder, (1.5, 500), True, 3)


if __name__ == "__main__":
    main()
