"""`voxledger cases add` that is killed, and typed again."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run
from dicom_files import write_series
from killed import kill_before

from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import Grid, write
from voxledger.init import init
from voxledger.records.cases import read_cases
from voxledger.records.ledger import read_ledger
from voxledger.repository import git

GRID = Grid.plain((4, 5, 6), (3.0, 1.0, 1.0))
ADD = ("cases", "add", "../images", "--labels", "../labels", "--weak", "../weak", "--source", "here")


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a new curation repository, and three images with two labels beside it."""
    root = tmp_path_factory.mktemp("cases")
    init(root / "repo", "atlas")
    with contextlib.chdir(root / "repo"):
        Path("labels.yaml").write_text("name: one\nclasses:\n  - {id: 1, name: organ}\n")
        parameters()
    for n in range(3):
        write(root / f"images/c{n}.nii.gz", np.random.default_rng(n).integers(0, 99, GRID.shape).astype(np.int16), GRID)
        if n < 2:
            write(root / f"labels/c{n}.nii.gz", np.ones(GRID.shape, np.uint8), GRID)
    point = {"type": "point", "class": "organ", "point_lps_mm": [2.0, 2.0, 3.0]}
    (root / "weak").mkdir()
    (root / "weak/c2.json").write_text(json.dumps({"format": 2, "marks": [point]}))
    return root


@pytest.fixture
def repository(new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all this; the repository is the current folder."""
    shutil.copytree(new, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy/repo")
    return tmp_path / "copy"


@pytest.fixture(scope="module")
def undisturbed(new: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What adding the images once leaves."""
    root = tmp_path_factory.mktemp("undisturbed") / "copy"
    shutil.copytree(new, root)
    with contextlib.chdir(root / "repo"):
        run("voxledger", *ADD)
        return state()


def state() -> tuple[str, str]:
    """Everything that git has in its index, DVC's hashes among it, and what differs from that."""
    return output("git", "ls-files", "--stage"), output("git", "status", "--porcelain")


@pytest.mark.parametrize(
    "event",
    [
        pytest.param("os.rename .*/images/c1.nii.gz", id="while it stores", marks=pytest.mark.slow),
        pytest.param("os.rename .*/weak/c2.json", id="before the weak label", marks=pytest.mark.slow),
        pytest.param("os.rename .*ledger.csv", id="before the ledger", marks=pytest.mark.slow),
        pytest.param("os.rename .*cases.csv", id="before the table", marks=pytest.mark.slow),
        pytest.param("subprocess.Popen .*'dvc', 'add'", id="before dvc add"),
        pytest.param("subprocess.Popen .*git', 'add', .*data/cases", id="before git add", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("repository")
def test_a_killed_add_is_finished_by_the_same_command(event: str, undisturbed: tuple[str, str]) -> None:
    """Killed after the table was written, the same command said "registered already", the images outside DVC."""
    kill_before(1, *ADD, event=event)
    assert "added 3 cases, 2 of them labelled, 1 with weak labels" in run("voxledger", *ADD)
    assert state() == undisturbed
    assert "case c1 is registered already" in run("voxledger", *ADD, accept=(1,))


def test_what_a_killed_add_wrote_is_taken_back_if_another_folder_is_added_instead(repository: Path) -> None:
    """Its images and the rows of its labels stayed, in no table, and were published with the next version."""
    kill_before(1, *ADD, event="os.rename .*cases.csv")
    assert Path("data/images/c2.nii.gz").is_file()
    (repository / "images/c1.nii.gz").unlink()
    (repository / "labels/c1.nii.gz").unlink()
    run("voxledger", *ADD)
    assert sorted(p.name for p in Path("data/images").iterdir() if p.suffix == ".gz") == ["c0.nii.gz", "c2.nii.gz"]
    assert sorted({case_id for case_id, _ in read_ledger("data/base/ledger.csv")}) == ["c0"]


@pytest.mark.slow
@pytest.mark.usefixtures("repository")
def test_what_a_killed_add_wrote_is_taken_back_by_a_run_of_the_round() -> None:
    """DVC took images of no case under its care, and they were published."""
    kill_before(1, *ADD, event="os.rename .*cases.csv")
    assert Path("data/images/c2.nii.gz").is_file()
    assert "no case is registered" in run("voxledger", "round", "run", accept=(1,))
    assert not Path("data/images/c2.nii.gz").exists()
    assert not Path("data/weak/c2.json").exists()
    assert read_ledger("data/base/ledger.csv") == {}
    assert "added 3 cases" in run("voxledger", *ADD)


@pytest.mark.slow
@pytest.mark.usefixtures("repository")
def test_a_killed_add_is_not_finished_with_other_options() -> None:
    kill_before(1, *ADD, event="subprocess.Popen .*'dvc', 'add'")
    before = read_cases()
    said = run("voxledger", *ADD[:-1], "elsewhere", accept=(1,))
    assert "c1.nii.gz: case c1 was registered by a command that was interrupted, with other files or options" in said
    assert "run that command once more, as it was" in said
    assert read_cases() == before
    run("voxledger", *ADD)


@pytest.mark.slow
def test_a_registered_case_is_refused_after_another_add_was_killed(repository: Path) -> None:
    run("voxledger", *ADD)
    (repository / "more").mkdir()
    write(repository / "more/late.nii.gz", np.arange(120, dtype=np.int16).reshape(GRID.shape), GRID)
    kill_before(1, "cases", "add", "../more", event="subprocess.Popen .*'dvc', 'add'")
    assert "case c1 is registered already" in run("voxledger", *ADD, accept=(1,))
    assert "added 1 cases" in run("voxledger", "cases", "add", "../more")
    assert run("git", "diff", "--name-only", "data") == ""


@pytest.mark.parametrize("folder", ["data/images", "data/base/labels"])
def test_cases_that_were_not_pulled_are_not_lost(repository: Path, folder: str) -> None:
    """In a clone, `cases add` put a folder under DVC in which all older cases were missing."""
    run("voxledger", *ADD)
    before = Path(f"{folder}.dvc").read_text()
    for path in Path(folder).glob("*.nii.gz"):
        path.unlink()
    (repository / "more").mkdir()
    write(repository / "more/late.nii.gz", np.arange(120, dtype=np.int16).reshape(GRID.shape), GRID)
    said = run("voxledger", "cases", "add", "../more", accept=(2,))
    assert "c0.nii.gz" in said
    assert "run `dvc pull`" in said
    assert Path(f"{folder}.dvc").read_text() == before
    run("dvc", "checkout", f"{folder}.dvc")
    assert "added 1 cases" in run("voxledger", "cases", "add", "../more")


@pytest.mark.parametrize(
    ("lock", "named"),
    [
        (".git/index.lock", "`rm .git/index.lock` if no git command runs here, then run this again"),
        (".dvc/tmp/rwlock", "`rm .dvc/tmp/rwlock` if no DVC process runs here, then run this again"),
    ],
)
@pytest.mark.usefixtures("repository")
def test_a_lock_that_a_killed_git_or_dvc_left_is_named_with_the_way_out(lock: str, named: str) -> None:
    """`dvc add` failed for it with "unexpected error", or with a damaged file and no remedy."""
    Path(lock).parent.mkdir(exist_ok=True)
    Path(lock).write_text("")
    assert named in run("voxledger", *ADD, accept=(1,))
    run("sh", "-c", named.split("`")[1])
    assert "added 3 cases" in run("voxledger", *ADD)


@pytest.mark.parametrize("lock", ["HEAD", "index", "refs/heads/main", "refs/tags/mine"])
@pytest.mark.usefixtures("repository")
def test_every_lock_of_a_killed_git_is_named(lock: str) -> None:
    """Of all but the index the remedy was "correct this and run again"."""
    Path(f".git/{lock}.lock").touch()
    command = ("tag", "mine") if "tags" in lock else ("commit", "--quiet", "--all", "--message", "mine")
    with pytest.raises(VoxledgerError) as caught:
        git(*command)
    assert caught.value.remedy == f"`rm .git/{lock}.lock` if no git command runs here, then run this again"
    Path(f".git/{lock}.lock").unlink()
    git(*command)


def test_dicom_comes_in_and_identity_is_looked_for(
    new: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pydicom")
    monkeypatch.setenv("HOME", str(new / "home"))
    shutil.copytree(new / "repo", new / "dicom", symlinks=True)
    here = new / "dicom"
    shutil.copytree(shared_data / "totalsegmentator/example_ct_dicom", new / "series/patient-a")
    said = output("voxledger", "cases", "add", "../series", "--licence", "Apache-2.0", cwd=here)
    assert "added 1 cases" in said
    assert (new / "home/.voxledger/keys/atlas/key").is_file()
    assert "data/acquisition.csv" in output("git", "ls-files", cwd=here)
    assert "0 findings; not covered: text burnt into images" in output("voxledger", "cases", "scan-phi", cwd=here)
    (here / "data/inbox/letter.csv").write_text("Doe^Jane\n")
    found = run("voxledger", "cases", "scan-phi", "--json", accept=(1,), cwd=here)
    assert json.loads(found) == [
        {"path": "data/inbox/letter.csv", "where": "line 1", "what": "a person's name", "text": "Doe^Jane"}
    ]
    assert "data/key_check.json" in output("git", "ls-files", cwd=here)
    git("-C", str(here), "rm", "--quiet", "--force", "data/key_check.json")  # as in repositories of before
    for more in (("add", "../series"), ("withdraw", "p-0", "--reason", "asked")):
        said = run("voxledger", "cases", *more, "--keys", str(new / "elsewhere"), accept=(2,), cwd=here)
        assert "elsewhere/key is not here, and by another key a person of this dataset" in said
    assert not (new / "elsewhere").exists()


def test_a_key_is_compared_before_an_older_repository_notes_it(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pydicom")
    monkeypatch.setenv("HOME", str(repository / "home"))
    right, anew, alone = repository / "home/.voxledger/keys/atlas", repository / "anew", repository / "alone"
    for number, patient in enumerate(("Roe", "Roe", "Doe", "Doe", "Poe")):
        array = np.random.default_rng(number).integers(-1000, 1500, (6, 20, 24)).astype(np.int16)
        uids = {"SeriesInstanceUID": f"1.2.9.{number}", "PatientID": patient, "PatientName": patient}
        write_series(Path(f"../series-{number}/scan-{number}"), array, **uids)

    def add(number: int, keys: Path, code: int = 0) -> str:
        return run("voxledger", "cases", "add", f"../series-{number}", "--keys", str(keys), accept=(code,))

    def as_before() -> None:
        git("rm", "--quiet", "--force", "data/key_check.json")

    assert "warning" not in add(0, right)
    noted = Path("data/key_check.json").read_bytes()
    roe = read_cases()[0].patient
    git("commit", "--quiet", "--message", "A case")
    as_before()
    anew.mkdir()
    (anew / "key").write_text(64 * "a")  # once the key was lost
    (anew / "key").chmod(0o600)
    shutil.copy(right / "identities.csv", anew)
    cases = Path("data/cases.csv").read_bytes()
    for more in (("add", "../series-1"), ("withdraw", roe, "--reason", "asked")):
        said = run("voxledger", "cases", *more, "--keys", str(anew), accept=(2,))
        assert f"{anew}/key is not the key of this dataset" in said
    assert (Path("data/cases.csv").read_bytes(), Path("data/key_check.json").exists()) == (cases, False)
    assert "warning" not in add(1, right)
    assert Path("data/key_check.json").read_bytes() == noted

    # The key without its table.
    alone.mkdir()
    shutil.copy(right / "key", alone)
    for number, told in ((2, True), (3, False)):
        as_before()
        (alone / "identities.csv").unlink(missing_ok=True)
        said = add(number, alone)
        assert (f"warning: data/key_check.json was made by {alone}/key, unchecked" in said) is told
        assert (f"`sha256sum {alone}/key`" in said) is told
        assert Path("data/key_check.json").read_bytes() == noted
    as_before()
    (alone / "identities.csv").unlink()
    git("commit", "--quiet", "--message", "Cases")
    assert "unchecked" in run("voxledger", "cases", "withdraw", roe, "--reason", "asked", "--keys", str(alone))
    assert Path("data/key_check.json").read_bytes() == noted

    # Who was withdrawn tells.
    as_before()
    (anew / "identities.csv").unlink()
    assert f"2 withdrawn cases are not recognised: the key in {anew}" in add(4, anew, code=2)
    assert "warning" not in add(4, alone)
    assert Path("data/key_check.json").read_bytes() == noted
    assert "scan-1: withdrawn" in add(1, alone, code=1)


@pytest.mark.parametrize("folder", ["slicecount", "sliceincrement"])
def test_real_dicom_defects_are_refused_by_name(
    new: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    pytest.importorskip("pydicom")
    monkeypatch.setenv("HOME", str(new / "home"))
    source = str(shared_data / "dicom-defects" / folder)
    said = run("voxledger", "cases", "add", source, accept=(1,), cwd=new / "repo")
    told = {"slicecount": ["has 2 slices"], "sliceincrement": ["gaps between slices of 5, 10 mm", "15.5 degrees"]}
    assert all(text in said for text in told[folder])
    assert "no case was added" in said
