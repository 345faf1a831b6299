"""Families: own members, those of other packages, and what is said when a name is wrong or a package is broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from commands import output, run
from plugins import install
from test_extending import FILES

from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.format import format_of, suffixes
from voxledger.params import read_params
from voxledger.registry import ACQUISITION, BACKENDS, FAMILIES, FORMATS, RULES, STRATEGIES, Family

OTHER = """
from voxledger.score.acquire import Acquisition, descending
ACQUISITION = Acquisition(lambda cases, seed: descending((c.case_id, 0.0) for c in cases))
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on `sys.path`, to install packages into."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_own_member_is_what_its_family_says(family: Family) -> None:
    assert family.names()
    for name in family.names():
        assert family.get(name) is not None
        assert family.origin(name) == ""


def test_a_package_that_pip_installs_joins(tmp_path: Path, site: Path) -> None:
    built = tmp_path / "built"
    install(built, "acme-choice", {"acquisition.acme": "acme_choice"}, {"acme_choice": OTHER})
    (info,) = built.glob("*.dist-info")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    files = sorted(path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file())
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in [*files, f"{info.name}/RECORD"]))
    wheel = shutil.make_archive(str(tmp_path / "acme_choice-1.2-py3-none-any"), "zip", built)
    wheel = str(Path(wheel).rename(Path(wheel).with_suffix(".whl")))
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(site), wheel)
    assert "acme" in ACQUISITION.names()
    assert ACQUISITION.origin("acme") == "acme-choice 1.2"


def test_listing_imports_no_member() -> None:
    program = (
        "import sys\nfrom voxledger.registry import FAMILIES\n"
        "for family in FAMILIES: family.names(); family.require(family.names()[0])\n"
        "print([m for m in sys.modules if any(m.startswith(f.package + '.') for f in FAMILIES)])\n"
        "print([m for m in ('torch', 'numpy', 'SimpleITK', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]


@pytest.mark.parametrize(
    ("family", "name", "said"),
    [
        (STRATEGIES, "finetun", r"no strategy finetun; did you mean finetune\?"),
        (RULES, "elongaton", r"no rule elongaton; did you mean elongation\?"),
        (BACKENDS, "xyz", r"no backend xyz\n  → use one of clicks, monai, nn"),
        (BACKENDS, "cohort", "no backend cohort"),  # a file beside the folders is none
        (FORMATS, "../etc", "no format"),
        (ACQUISITION, "", "no acquisition function"),
    ],
)
def test_unknown_names_are_told_with_what_there_is(family: Family, name: str, said: str) -> None:
    with pytest.raises(Misuse, match=said):
        family.get(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("score: {acquisition: diversty}\n", r"score.acquisition: .*did you mean diversity\?"),
        ("retrain: {strategy: wishful}\n", "retrain.strategy: .*no strategy wishful"),
        ("machine: {executor: cloud}\n", "machine.executor: .*no executor cloud"),
        ("retrain: {models: {a: {backend: nnunett}}}\n", r"retrain.models.a.backend: .*did you mean nnunet\?"),
        ("retrain: {models: {a: {backend: precomputed}}}\n", "retrain.models.a: .*not trained"),
        ("retrain: {models: {a: {backend: monai}}}\n", "retrain.models.a: .*plans is no network of monai.*unet"),
    ],
)
def test_params_ask_the_family(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(Misuse, match=said):
        read_params(tmp_path / "params.yaml")


def test_a_member_of_another_package(site: Path) -> None:
    install(site, "our-package", {"acquisition.ours": "our_module"}, {"our_module": OTHER})
    assert {"attention", "ours"} <= set(ACQUISITION.names())
    assert ACQUISITION.get("ours").order([], "0") == []
    assert ACQUISITION.origin("ours") == "our-package 1.2"


def test_a_name_that_two_have_is_refused_and_the_others_work(site: Path) -> None:
    ours = {"acquisition.random": "our_module", "acquisition.x": "our_module"}
    install(site, "our-package", ours, {"our_module": OTHER})
    install(site, "their-package", {"acquisition.x": "our_module"}, {})
    with pytest.raises(Misuse, match=r"voxledger and our-package 1.2 each have the acquisition function random"):
        ACQUISITION.get("random")
    with pytest.raises(Misuse, match=r"our-package 1.2 and their-package 1.2 each have"):
        ACQUISITION.get("x")
    assert ACQUISITION.get("attention")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import moonshine", "ModuleNotFoundError: No module named 'moonshine'"),
        ("1 / 0", "ZeroDivisionError"),
        ("nothing = 1", "has no attribute 'ACQUISITION'"),
    ],
)
def test_a_broken_package_is_named_and_hides_no_other(site: Path, source: str, said: str) -> None:
    install(site, "sick-package", {"acquisition.sick": "sick_module"}, {"sick_module": source})
    sys.modules.pop("sick_module", None)
    assert "sick" in ACQUISITION.names()
    told = rf"sick of sick-package 1\.2 does not work here(.|\n)*{said}(.|\n)*uninstall"
    with pytest.raises(VoxledgerError, match=told):
        ACQUISITION.get("sick")
    assert ACQUISITION.get("attention")
    found, broken = ACQUISITION.load()
    assert "attention" in found
    assert [("sick-package" in str(error)) for error in broken] == [True]


def test_a_format_that_does_not_work_is_named_and_hides_no_other(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(site, "sick-formats", {"formats.sick": "sick_format"}, {"sick_format": "import moonshine"})
    assert suffixes()[0] == format_of(Path("a.nii.gz")).plain + ".gz"
    assert capsys.readouterr().err.count("format sick of sick-formats 1.2 does not work here") == 1
    with pytest.raises(VoxledgerError, match=r"sick-formats 1\.2"):
        format_of(Path("a.sick"))


def test_a_package_is_used_by_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A format of another package: `cases add` reads images that voxledger itself does not know."""
    site = tmp_path / "site"
    install(site, "our-package", {"formats.gipl": "our_gipl"}, {"our_gipl": FILES["imaging/formats/gipl.py"]})
    scans = tmp_path / "scans"
    scans.mkdir()
    voxels = np.random.default_rng(0).integers(-900, 900, (6, 5, 4)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(voxels.T), str(scans / "case-7.gipl.gz"))
    repository = tmp_path / "repository"
    run("voxledger", "init", str(repository))
    assert "holds no image" in run("voxledger", "cases", "add", str(scans), accept=(2,), cwd=repository)
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    output("voxledger", "cases", "add", str(scans), "--licence", "CC0-1.0", cwd=repository)
    stored = nibabel.load(repository / "data/images/case-7.nii.gz")
    np.testing.assert_array_equal(np.asarray(stored.dataobj), voxels)
