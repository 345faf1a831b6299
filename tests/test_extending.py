"""The members that docs/extending.md adds to the families, taken from the page as they stand."""

from __future__ import annotations

import doctest
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers import as_reviewer
from small_cases import GRID, SCHEMA, TINY, draw, schema, small, tiny

from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap
from voxledger.cases.incoming import Incoming
from voxledger.cases.intake import add_cases
from voxledger.errors import CaseRefused, CasesFailed, UnreadableImage
from voxledger.evaluate.case_metrics import Generation
from voxledger.evaluate.comparison import compare
from voxledger.evaluate.metric import all_metrics, averaged, measure
from voxledger.evaluate.report import _columns
from voxledger.evaluate.summary import Row, summarise
from voxledger.imaging.format import suffixes
from voxledger.imaging.intact import intact, read_whole, read_whole_label
from voxledger.imaging.volume import differences, read, write
from voxledger.infer.predict import predict_cases
from voxledger.models.model import Model
from voxledger.params import (
    BoundsParams,
    CasesParams,
    EvaluateParams,
    InferParams,
    MachineParams,
    ModelParams,
    RetrainParams,
    ScoreParams,
)
from voxledger.records.card import check_model
from voxledger.records.history import write_history
from voxledger.registry import BACKENDS, EXECUTORS, FAMILIES, METRICS, STRATEGIES
from voxledger.retrain.run import retrain_round
from voxledger.review.archives import unpack
from voxledger.review.carrier import Where, connect
from voxledger.score.acquire import example_case
from voxledger.score.worklist import choose
from voxledger.weak.check import bounds_of, checked
from voxledger.weak.example import measured_at, predicted
from voxledger.weak.geometry import lps_of
from voxledger.weak.store import read_weak

__all__ = ["schema", "small", "tiny"]

PAGE = Path(__file__).parents[1] / "docs/extending.md"
FILES = dict(re.findall(r"`src/voxledger/([\w/]+\.py)`:\n\n```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL))


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Put all files of the page into their families; gives their modules by path."""
    for name, text in FILES.items():
        (tmp_path / "page" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "page" / name).write_text(text, "utf-8")
    for family in FAMILIES:
        package = importlib.import_module(family.package)
        folder = tmp_path / "page" / family.package.removeprefix("voxledger.").replace(".", "/")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    names = {name: "voxledger." + name.removesuffix(".py").replace("/", ".") for name in FILES}
    yield {name: importlib.import_module(module.removesuffix(".__init__")) for name, module in names.items()}
    for module in names.values():
        sys.modules.pop(module.removesuffix(".__init__"), None)


def test_every_family_has_a_member_on_the_page(added: dict[str, Any]) -> None:
    folders = {Path(name).parent.as_posix() for name in FILES}
    for family in FAMILIES:
        folder = family.package.removeprefix("voxledger.").replace(".", "/")
        assert any(f == folder or f.startswith(f"{folder}/") for f in folders), family.name
        assert f"| `voxledger.{family.name}` |" in PAGE.read_text("utf-8")
    for name, module in added.items():
        assert doctest.testmod(module).failed == 0, name


def test_acquisition(added: dict[str, Any]) -> None:
    params = ScoreParams(acquisition="committee", budget=1)
    cases = [example_case("a", lowest_agreement=0.9), example_case("b", lowest_agreement=0.4)]
    assert choose(cases, 1, params, "0", {}) == {"b": "committee"}


def test_metric(added: dict[str, Any], tmp_path: Path) -> None:
    """It is in every table without another file being touched."""
    name = "mean_surface_distance_mm"
    assert name in METRICS.names()
    one, next_one = np.zeros((6, 6, 6), bool), np.zeros((6, 6, 6), bool)
    one[3, 3, 3] = next_one[3, 3, 4] = True
    values = measure(compare(one, next_one, (1.0, 1.0, 2.0)), EvaluateParams())
    assert 0 < values[name] <= values["hd95_mm"] == 2
    assert list(values) == list(all_metrics()) != sorted(values)
    assert list(all_metrics()).index(name) == list(all_metrics()).index("hd95_mm") + 1
    (summary,) = summarise(
        [Row("test", "c", Generation.NEXT, "m", "organ", 1.0, values)], ["organ"], 100, 0, {"c": "c"}
    )
    assert summary.other[name].mean == values[name]
    assert _columns(EvaluateParams())[name][:2] == ("Mean surface distance", "mm")
    write_history(tmp_path / "history.csv", [], list(averaged()))
    assert name in (tmp_path / "history.csv").read_text().splitlines()[0].split(",")


def test_strategy(added: dict[str, Any], small: Any) -> None:
    train(small, {"unet": TINY["unet"]})
    Path("models/next").rename("models/base")
    train(small, {"unet": TINY["unet"]}, strategy="warm_start")
    before, after = check_model(Path("models/base/unet")), check_model(Path("models/next/unet"))
    assert (after.strategy, after.parent) == ("warm_start", before.id)
    base = Model(Path("models/base/unet"), before, SCHEMA)
    found = STRATEGIES.get("warm_start")(TINY["unet"], RetrainParams(), base, SCHEMA.names, [])
    assert (found.iterations, found.parent) == (TINY["unet"].iterations, base)


def train(small: Any, models: dict[str, ModelParams], **params: Any) -> None:
    wanted = RetrainParams(models=models, **params)
    retrain_round(small.cases, small.schema, small.ledger, 0, wanted, MachineParams(workers=1))


def test_backend(added: dict[str, Any], small: Any) -> None:
    """Trained, stored, read again and predicted from, as all others are."""
    assert "intensity" in BACKENDS.names()
    train(small, {"bayes": ModelParams(backend="intensity")})
    card = check_model(Path("models/next/bayes"))
    assert (card.backend, card.architecture) == ("intensity", "Gaussian naive Bayes")
    rows = predict_cases(small.cases, Path("models/next"), Path("out"), SCHEMA, InferParams(), MachineParams(workers=1))
    assert {r.classes for r in rows} == {tuple(SCHEMA.names)}
    from voxledger.imaging.soft import open_soft

    _, labels = draw(3)
    spleen = open_soft("out/bayes/c3.b2nd").read("spleen").astype(float)
    assert spleen[labels == 7].mean() > 0.9 > 0.1 > spleen[labels != 7].mean()


def test_format(added: dict[str, Any], tmp_path: Path) -> None:
    import gzip

    import SimpleITK as sitk

    assert {".gipl", ".gipl.gz"} <= set(suffixes())
    image, _ = draw(0)
    write(tmp_path / "c.nii.gz", image, GRID)
    stored = sitk.ReadImage(str(tmp_path / "c.nii.gz"))
    sitk.WriteImage(stored, str(tmp_path / "c.gipl.gz"))
    volume = read_whole(tmp_path / "c.gipl.gz")
    np.testing.assert_array_equal(volume.array, image)
    assert volume.array.dtype.isnative
    assert differences(volume.grid, read(tmp_path / "c.nii.gz").grid) == []
    sitk.WriteImage(sitk.Abs(stored), str(tmp_path / "label.gipl"))
    np.testing.assert_array_equal(read_whole_label(tmp_path / "label.gipl", GRID), np.abs(image))
    whole = gzip.decompress((tmp_path / "c.gipl.gz").read_bytes())
    (tmp_path / "cut.gipl.gz").write_bytes(gzip.compress(whole[: len(whole) // 2]))
    with pytest.raises(UnreadableImage, match="damaged or incomplete"), intact(tmp_path / "cut.gipl.gz", 1 << 30):
        pass


class Square(Job[int]):
    stage, algorithms = "square", ()
    number: int = content()

    def compute(self, folder: Path) -> int:
        if self.number == 2:
            raise ValueError("two")
        return self.number**2


def test_executor(added: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert MachineParams(executor="threads").executor in EXECUTORS.names()
    jobs = [Square(name=str(n), number=n) for n in (1, 3, 4)]
    assert casemap(jobs, tmp_path / "out", MachineParams(workers=3, executor="threads")) == [1, 9, 16]
    with pytest.raises(CasesFailed, match=r"1 of 4 cases failed(.|\n)*two"):
        casemap([*jobs, Square(name="2", number=2)], tmp_path / "out", MachineParams(workers=3, executor="threads"))


def test_check(added: dict[str, Any]) -> None:
    """It is made of every returned label, and `review.findings` knows its name."""
    from voxledger.bundles.check import example, find_all
    from voxledger.params import ReviewParams

    comparison = example(lambda a: a[:4, 4:8, 4:8].fill(1), liver="revise")
    assert [found.kind for found in find_all(comparison)] == ["at_the_edge"]
    assert ReviewParams(findings={"at_the_edge": "blocking"}).findings == {"at_the_edge": "blocking"}


def test_carrier(added: dict[str, Any], tmp_path: Path) -> None:
    """What a reviewer is told is typed, line by line; the upload is a whole archive."""
    bundle = tmp_path / "exported" / "bundle-r01-alice"
    bundle.mkdir(parents=True)
    (bundle / "bundle.json").write_text("{}")
    place = f"tar:{tmp_path}"
    with connect(Where(place, place, {})) as connection:
        lines = connection.send(bundle, "alice")
        as_reviewer(f"{lines.get} && {lines.give}", tmp_path)
        assert (tmp_path / "bundle-r01-alice/bundle.json").read_text() == "{}"
        (upload,) = connection.uploads("alice")
        (tmp_path / "back.tar").write_bytes(b"".join(connection.read("alice", upload, 0)))
    unpack(tmp_path / "back.tar", tmp_path / "back", 1000)
    assert (tmp_path / "back/bundle-r01-alice/bundle.json").read_text() == "{}"


def test_weak_reader(added: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    image = np.random.default_rng(0).integers(-900, 900, GRID.shape).astype(np.int16)
    write("in/a.nii.gz", image, GRID)
    x, y, z = (round(float(v), 3) for v in lps_of([(1, 2, 3)], GRID)[0])
    name = SCHEMA.names[-1]
    row = f"vtkMRMLMarkupsFiducialNode_0,{-x},{-y},{z},0,0,0,1,1,1,0,{name},,"
    Path("weak").mkdir()
    Path("weak/a.fcsv").write_text("# Markups fiducial file version = 4.11\n# CoordinateSystem = RAS\n" + row + "\n")
    add_cases(Incoming(Path("in"), weak=Path("weak")), SCHEMA, CasesParams())
    (weak,) = read_weak("a", GRID, SCHEMA)
    assert (weak.kind, weak.source, weak.class_name, weak.start) == ("point", "fcsv", name, (1, 2, 3))
    Path("weak/a.fcsv").write_text(row.replace(name, "Jane Doe") + "\n")
    Path("in/a.nii.gz").rename("in/b.nii.gz")
    Path("weak/a.fcsv").rename("weak/b.fcsv")
    with pytest.raises(CaseRefused, match="class: it is none of"):
        add_cases(Incoming(Path("in"), weak=Path("weak")), SCHEMA, CasesParams())


def test_weak_check(added: dict[str, Any]) -> None:
    flat = predicted(measured_at("recist", (2, 4, 2), (2, 4, 5)), (2, 4, slice(2, 6)))
    bounds = bounds_of({"thick": BoundsParams(low=3)})
    assert ("thick", 1.0, bounds["thick"], False) in list(checked(flat, bounds))
