"""What weak labels of every kind become, against the ellipsoid that a RECIST diameter alone gives.

    python benchmarks/weak_labels.py                    the ellipsoid alone: no network
    python benchmarks/weak_labels.py --work DIR         and small interactive networks, trained there on other cases
    python benchmarks/weak_labels.py --model FOLDER     and an interactive model, as it lies in models/base/NAME

Weak labels are derived from reference masks (`voxledger.weak.derive`): both classes of hippocampus crops and, of medium
phantoms, every lesion that is 10 mm long; the lesions of the three DeepLesion slabs are real, with derived marks. With
`--work` one network learns from the first 40 crops, and one from the lesions of 100 phantoms of another seed; slabs are
shown to that. The last 60 crops, and 60 phantoms, are predicted. Dice; worst decile: mean Dice of the tenth with the
lowest; failed: share of objects that fail a check with its bounds (`voxledger.weak.checks`); found: share of those
below Dice 0.5 that fail one; false alarms: share of the others that do.
"""

from __future__ import annotations

import argparse
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voxledger.imaging.components import connected_components
from voxledger.imaging.volume import Grid, Volume, file_sha256, mask_sha256, read, read_label
from voxledger.knowledge import Knowledge
from voxledger.models.nninteractive.predict import looked_at
from voxledger.models.training import TrainingCase
from voxledger.phantom.materials import CLASSES, LESIONS
from voxledger.schema import LabelClass, LabelSchema
from voxledger.textfile import write_table
from voxledger.weak.check import Marked, bounds_of, checked
from voxledger.weak.derive import WAYS, derive
from voxledger.weak.diameter import longest
from voxledger.weak.ellipsoid import ellipsoid
from voxledger.weak.label import WeakLabel

Mask = npt.NDArray[np.bool_]
Predictor = Callable[[Volume, WeakLabel], npt.NDArray[np.float32]]
"""Gives probabilities (z, y, x)."""
SHARED = Path(__file__).parents[2] / "shared" / "data"
LONG_MM, BAD = 10.0, 0.5


CROPS, PHANTOMS = 40, 100
"""Cases that a network is trained on."""
STEPS = {"hippocampus": 1000, "phantoms": 2000}
PATCH = {"hippocampus": None, "phantoms": (32, 32, 32)}
"""Voxels (z, y, x) that a network looks at: the usual, and half as much again as lesions of 40 mm in voxels of 2 mm."""


@dataclass(frozen=True)
class Object:
    """One object of a class, with its reference mask (z, y, x)."""

    case_id: str
    class_name: str
    image: Volume
    mask: Mask


@dataclass(frozen=True)
class Result:
    """One object as it was predicted from one weak label."""

    dice: float
    failed: tuple[str, ...]
    """Checks that it failed."""
    measured: dict[str, float]
    """By check."""


def hippocampus(folder: Path, count: int) -> Iterator[Object]:
    """Both classes of the last crops."""
    for path in sorted((folder / "images").glob("hippocampus_*.nii.gz"))[-count:]:
        image = read(path)
        labels = read_label(folder / "labels" / path.name, image.grid)
        for number, name in ((1, "anterior"), (2, "posterior")):
            if (labels == number).any():
                yield Object(path.name, name, image, labels == number)


def phantoms(count: int, size: str, seed: int) -> Iterator[Object]:
    """The lesions of phantoms of site A that are 10 mm long."""
    from voxledger.phantom.make import make_phantom
    from voxledger.phantom.scanner import SITES, Size

    for index in range(count):
        phantom = make_phantom(seed, index, SITES["a"], Size(size), 1.0)
        pieces, found = connected_components(phantom.labels == CLASSES[phantom.lesion])
        for number in range(1, found + 1):
            mask = pieces == number
            if _long_mm(mask, phantom.grid) >= LONG_MM:
                yield Object(f"phantom {index}", phantom.lesion, Volume(phantom.image, phantom.grid), mask)


def _long_mm(mask: Mask, grid: Grid) -> float:
    return max(longest(mask[k], grid.spacing[1:])[1] for k in np.flatnonzero(mask.any(axis=(1, 2))))


def deeplesion(folder: Path) -> Iterator[Object]:
    """The lesions of the three slabs."""
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as slab:
            grid = Grid(
                slab["imgs"].shape, tuple(slab["spacing"][::-1]), tuple(slab["origin"]), tuple(slab["direction"])
            )
            yield Object(path.stem, "lesion", Volume(slab["imgs"].astype(np.int16), grid), slab["gts"] > 0)


def of_ellipsoid(image: Volume, weak: WeakLabel) -> npt.NDArray[np.float32]:
    """The ellipsoid that a RECIST diameter alone gives."""
    return ellipsoid(weak, image.grid).astype(np.float32)


def of_model(folder: Path) -> Predictor:
    """What an interactive model predicts."""
    from voxledger.models.nninteractive.predict import open_session
    from voxledger.weak.prompts import prompts_of

    session = open_session(folder, folder.name, "cpu")
    shown: list[Volume] = []

    def predict(image: Volume, weak: WeakLabel) -> npt.NDArray[np.float32]:
        if not shown or shown[0] is not image:
            session.show(image.array)
            shown[:] = [image]
        whole = np.zeros(image.grid.shape, np.float32)
        if (found := session.segment(prompts_of(weak, image.grid))) is not None:
            box, probability = found
            whole[box] = probability
        return whole

    return predict


def trained(name: str, work: Path, data: Path) -> Path:
    """A network that learned from other cases of a set; trained once."""
    from voxledger.models.nninteractive.train import train
    from voxledger.models.process import seed_everything, single_thread
    from voxledger.models.start import Start
    from voxledger.models.training import Training
    from voxledger.params import ModelParams
    from voxledger.records.card import WEIGHTS

    folder, steps = work / name, STEPS[name]
    if (folder / WEIGHTS).is_file():
        return folder
    if name == "hippocampus":
        numbers, images, labels, modality = {"anterior": 1, "posterior": 2}, data / name / "images", "labels", "MR"
    else:
        numbers, images, labels, modality = CLASSES, make_phantoms(work) / "images", "reference", "CT"
    schema = LabelSchema(name=name, classes=tuple(LabelClass(id=i, name=n) for n, i in numbers.items()))
    learned = schema if name == "hippocampus" else schema.only(LESIONS)
    paths = sorted(images.glob("*.nii.gz"))[: CROPS if name == "hippocampus" else PHANTOMS]
    training = Training(
        name=name,
        model=ModelParams(backend="nninteractive", iterations=steps, patch=PATCH[name]),
        start=Start("full", steps),
        cases=tuple(known_case(path, images.parent / labels / path.name, schema, modality) for path in paths),
        schema=learned,
        labels=schema,
        seed=0,
        device="cpu",
    )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with single_thread("cpu"):
        seed_everything(0)
        train(training, folder)
    return folder


def make_phantoms(work: Path) -> Path:
    """Phantoms of another seed than those that are predicted, most of them with a lesion."""
    from voxledger.phantom.make import write_phantoms
    from voxledger.phantom.scanner import Size

    folder = work / "cases"
    if not folder.is_dir():
        write_phantoms(work / "making", PHANTOMS, seed=5, size=Size.MEDIUM)
        (work / "making").rename(folder)
    return folder


def known_case(image: Path, label: Path, schema: LabelSchema, modality: str) -> TrainingCase:
    """A case all classes of which people stand behind."""
    grid = read(image).grid
    labels = read_label(label, grid)
    return TrainingCase(
        case_id=image.name.removesuffix(".nii.gz"),
        image=image,
        image_sha256=file_sha256(image),
        modality=modality,
        label=label,
        knowledge=dict.fromkeys(schema.names, Knowledge.TRUSTED),
        masks={name: mask_sha256(schema.mask(labels, name), grid) for name in schema.names},
    )


def judge(one: Object, weak: WeakLabel, predict: Predictor, model: Path | None) -> Result:
    """Dice of one prediction, and what the checks say of it."""
    probability = predict(one.image, weak)
    found = probability > 0.5
    crop = looked_at(model, weak, one.image.grid) if model is not None else None
    dice = 2 * int((found & one.mask).sum()) / (int(found.sum()) + int(one.mask.sum()))
    told = list(checked(Marked(weak, found, one.image.grid, crop, probability), bounds_of({})))
    failed = tuple(name for name, _, _, agrees in told if not agrees)
    return Result(dice, failed, {name: measured for name, measured, _, _ in told})


def row(results: list[Result]) -> str:
    """One line of the table."""
    dice = np.sort([r.dice for r in results])
    decile = dice[: max(len(dice) // 10, 1)].mean()
    bad = [bool(r.failed) for r in results if r.dice < BAD]
    good = [bool(r.failed) for r in results if r.dice >= BAD]
    failed, found, alarms = (f"{np.mean(x):6.1%}" if x else "     –" for x in ([*bad, *good], bad, good))
    return f"{len(dice):5} {dice.mean():6.3f} {decile:6.3f} {failed:>7} {len(bad):4} {found:>7} {alarms:>7}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--size", default="medium", choices=["small", "medium", "full"], help="of the phantoms")
    parser.add_argument("--seed", type=int, default=7, help="of the phantoms; bounds of the checks were set on 8 and 7")
    parser.add_argument("--sets", nargs="+", default=["hippocampus", "phantoms", "deeplesion"])
    parser.add_argument("--model", type=Path, help="an interactive model for all sets")
    parser.add_argument("--work", type=Path, help="train networks here, once")
    parser.add_argument("--out", type=Path, help="table of every number")
    asked = parser.parse_args()
    sets = {
        "hippocampus": lambda: hippocampus(asked.data / "hippocampus", asked.cases),
        "phantoms": lambda: phantoms(asked.cases, asked.size, asked.seed),
        "deeplesion": lambda: deeplesion(asked.data / "deeplesion"),
    }
    numbers = []
    head = f"{'set':12} {'weak label':12} {'by':10}"
    print(f"{head} {'n':>5} {'Dice':>6} {'decile':>6} {'failed':>7} {'<0.5':>4} {'found':>7} {'false':>7}", flush=True)
    for name in asked.sets:
        results: dict[tuple[str, str], list[Result]] = {}
        model = asked.model
        if asked.work:
            model = trained("hippocampus" if name == "hippocampus" else "phantoms", asked.work, asked.data)
        predictors = {"model": of_model(model)} if model else {}
        for one in sets[name]():
            for how in WAYS:
                weak = derive(how, one.mask, one.case_id, one.class_name, one.image.grid)
                by = {"ellipsoid": of_ellipsoid} if weak.kind == "recist" else {}
                for who, predict in {**by, **predictors}.items():
                    result = judge(one, weak, predict, model if who == "model" else None)
                    results.setdefault((how, who), []).append(result)
                    said = {"set": name, "object": f"{one.case_id} {one.class_name}", "weak": how, "by": who}
                    numbers.append({**said, "dice": result.dice, **result.measured})
        for (how, who), found in results.items():
            print(f"{name:12} {how:12} {who:10} {row(found)}", flush=True)
            counted = Counter(check for result in found for check in result.failed)
            print(f"{'':36} failed: {', '.join(f'{c} {n}' for c, n in counted.items()) or 'none'}", flush=True)
        if predictors:
            every = [r for (_, who), found in results.items() if who == "model" for r in found]
            print(f"{name:12} {'all':12} {'model':10} {row(every)}", flush=True)
    if asked.out:
        columns = dict.fromkeys(key for number in numbers for key in number)
        write_table(asked.out, list(columns), numbers)


if __name__ == "__main__":
    main()
