"""`voxledger verify`: every alteration of a version is found and named, nothing else is called altered."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from commands import output, run

from voxledger.casemap import each
from voxledger.cli.main import cli

from .conftest import Released, make_key

LABEL = "data/release/labels/case1.nii.gz"
MANIFEST = "data/release/manifest.json"
SIGNATURE = f"{MANIFEST}.sig"


@pytest.fixture
def clone(released: Released, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shallow clone of round-01, as the current folder."""
    return copy_of(released.clone, tmp_path, monkeypatch)


@pytest.fixture
def repository(released: Released, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository that closed both rounds, as the current folder."""
    return copy_of(released.repository, tmp_path, monkeypatch)


def copy_of(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    run("cp", "-a", str(folder), str(tmp_path / "copy"))
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def verify(released: Released, tag: str = "round-01") -> Result:
    return CliRunner().invoke(cli, ["verify", tag, "--allowed-signers", str(released.signers)])


def require_altered(result: Result, name: str) -> None:
    assert result.exit_code == 1, result.output
    problems = [line for line in result.output.splitlines() if line.startswith("problem: ")]
    assert any(line.startswith(f"problem: {name}") for line in problems), result.output
    assert result.output.rstrip().endswith("DO NOT USE")


# One byte of a file, whatever it is for ----------------------------------------------------------------------------

FILES = [
    "data/release/labels/case1.nii.gz",
    "data/release/ledger.csv",
    "data/release/revisions/abc/decisions.csv",
    "data/release/manifest.json",
    "data/release/manifest.json.sig",
    "data/base/labels/case0.nii.gz",
    "data/base/ledger.csv",
    "data/base/history.csv",
    "data/base/errors.csv",
    "data/base/revisions/abc/decisions.csv",
    "data/base/labels.dvc",
    "data/images/case2.nii.gz",
    "data/images.dvc",
    "data/weak/case2.json",
    "data/cases.csv",
    "data/format.json",
    "data/round/bundles/bundle-r01-ann/bundle.json",
    "data/round/bundles/bundle-r01-ann/images/case0.nii.gz",
    "data/round/attention/case0.b2nd",
    "data/round/pseudo/case0.nii.gz",
    "data/round/worklist.csv",
    "data/round/score.csv",
    "data/round/filter.csv",
    "data/round/cohort.csv",
    "data/round/decisions.csv",
    "data/round/received.json",
    "data/round/outlook.json",
    "data/sent.json",
    "data/times/export-r01.json",
    "data/inbox/bundle-r01-ann/decisions.csv",
    "data/inbox/bundle-r01-ann.dvc",
    "data/inbox/README.md",
    "models/base/m/weights.safetensors",
    "models/base.json",
    "models/base.dvc",
    "models/next/m/model.json",
    "models/next/m/weights.safetensors",
    "models/next.json",
    "reports/history.csv",
    "reports/metrics.json",
    "reports/round.html",
    "reports/cases.csv",
    "reports/sections/filter.html",
    "params.yaml",
    "labels.yaml",
    "dvc.yaml",
    "dvc.lock",
    "stages/gate.py",
    ".gitignore",
    ".dvcignore",
    ".dvc/config",
    ".dvc/.gitignore",
]


@pytest.mark.parametrize("name", [LABEL, "data/images/case2.nii.gz", "data/cases.csv"])
def test_several_processes_find_the_same(
    clone: Path, released: Released, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clone's own say on where cases are computed counts for nothing."""
    flip(clone / name)
    alone = verify(released)
    monkeypatch.setattr(each, "WORTH_BYTES", 0)
    monkeypatch.setenv("VOXLEDGER_WORKERS", "2")
    monkeypatch.setenv("VOXLEDGER_EXECUTOR", "nothing")
    assert verify(released).stdout == alone.stdout
    require_altered(alone, name)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_named(clone: Path, released: Released, name: str) -> None:
    """Also in bundles as they were sent, attention and pseudo-labels, which no manifest listed."""
    flip(clone / name)
    require_altered(verify(released), name)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


# Other ways to alter the files of a clone --------------------------------------------------------------------------


def link_to_the_same(root: Path) -> None:
    shutil.copyfile(LABEL, root.parent / "same.nii.gz")
    relink(LABEL, root.parent / "same.nii.gz")


def link_to_another_label(root: Path) -> None:
    relink(LABEL, Path("case0.nii.gz"))


def link_into_the_cache_with_other_content(root: Path) -> None:
    relink(LABEL, cached(root, "data/images/case1.nii.gz"))


def folder_behind_a_link(root: Path) -> None:
    shutil.move("data/release/labels", root.parent / "labels")
    Path("data/release/labels").symlink_to(root.parent / "labels")


def stage_behind_a_link(root: Path) -> None:
    shutil.copyfile("stages/gate.py", root.parent / "gate.py")
    relink("stages/gate.py", root.parent / "gate.py")


def relink(name: str, target: Path) -> None:
    Path(name).unlink()
    Path(name).symlink_to(target)


def cached(root: Path, name: str) -> Path:
    digest = output("md5sum", name).split()[0]
    path = root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    assert path.is_file()
    return path


def folder_in_its_place(root: Path) -> None:
    Path(LABEL).unlink()
    Path(LABEL).mkdir()


def pipe_in_its_place(root: Path) -> None:
    Path(LABEL).unlink()
    os.mkfifo(LABEL)


def link_to_itself(root: Path) -> None:
    relink(LABEL, Path("case1.nii.gz"))


def link_to_a_folder_of_the_cache(root: Path) -> None:
    relink(LABEL, root / ".dvc/cache/files")


def links_to_each_other(root: Path) -> None:
    relink(LABEL, Path("case2.nii.gz"))
    relink("data/release/labels/case2.nii.gz", Path("case1.nii.gz"))


def added_link(name: str, target: str) -> Callable[[Path], None]:
    def alter(root: Path) -> None:
        Path(name).symlink_to(target)

    return alter


def emptied(root: Path) -> None:
    Path("reports/history.csv").write_bytes(b"")


def swapped(root: Path) -> None:
    other = Path("data/release/labels/case0.nii.gz")
    content = other.read_bytes(), Path(LABEL).read_bytes()
    other.write_bytes(content[1])
    Path(LABEL).write_bytes(content[0])


def hidden(flag: str, name: str) -> Callable[[Path], None]:
    def alter(root: Path) -> None:
        run("git", "update-index", flag, name)
        flip(Path(name))
        assert run("git", "status", "--porcelain") == ""

    return alter


def behind_the_stat_cache(root: Path) -> None:
    """Same size, same times: git does not even look."""
    run("git", "config", "core.checkStat", "minimal")
    run("git", "config", "core.trustctime", "false")
    before = Path("reports/history.csv").stat()
    flip(Path("reports/history.csv"))
    os.utime("reports/history.csv", ns=(before.st_atime_ns, before.st_mtime_ns))


def in_the_index_too(root: Path) -> None:
    flip(Path("models/base.json"))
    run("git", "add", "models/base.json")


def behind_a_replaced_object(root: Path) -> None:
    flip(Path("models/base.json"))
    blob = output("git", "hash-object", "-w", "models/base.json").strip()
    run("git", "replace", output("git", "rev-parse", "HEAD:models/base.json").strip(), blob)


def behind_a_filter(root: Path) -> None:
    Path(".git/info/attributes").write_text("/reports/history.csv filter=same\n")
    run("git", "config", "filter.same.clean", "git cat-file blob HEAD:reports/history.csv")
    flip(Path("reports/history.csv"))
    assert run("git", "status", "--porcelain") == ""


def added(name: str, *commands: str) -> Callable[[Path], None]:
    def alter(root: Path) -> None:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")
        for command in commands:
            run("sh", "-c", command)

    return alter


def hidden_by(setting: str, name: str = "sitecustomize.py", lists: str = ".gitignore") -> Callable[[Path], None]:
    """A file that another list of ignored files names, and a setting of the clone that leads git there."""

    def alter(root: Path) -> None:
        (root.parent / lists).write_text(f"/{name}\n{root.name}/{name}\n")
        run("git", "config", setting, str(root.parent if setting == "core.worktree" else root.parent / lists))
        added(name)(root)

    return alter


def with_ignore_case(root: Path) -> None:
    run("git", "config", "core.ignoreCase", "true")
    added("DEMO/sitecustomize.py")(root)


def ignored_in_its_own_folder(root: Path) -> None:
    added("tools/sitecustomize.py")(root)
    Path("tools/.gitignore").write_text("*\n")


OTHERWISE: list[tuple[Callable[[Path], None], str]] = [
    (link_to_the_same, f"{LABEL}: a link to"),
    (link_to_another_label, f"{LABEL}: a link to"),
    (link_into_the_cache_with_other_content, f"{LABEL}: altered"),
    (folder_behind_a_link, "data/release/labels: a link to"),
    (stage_behind_a_link, "stages/gate.py: a link to"),
    (folder_in_its_place, f"{LABEL}: is a folder"),
    (pipe_in_its_place, f"{LABEL}: a pipe"),
    (link_to_itself, f"{LABEL}: a link to case1.nii.gz"),
    (link_to_a_folder_of_the_cache, f"{LABEL}: a link to"),
    (links_to_each_other, f"{LABEL}: a link to case2.nii.gz"),
    (added_link("data/images/more", "more"), "data/images/more: not part of the version, a link to more"),
    (added_link(".venv", "/usr"), ".venv: not part of the version, a link to /usr"),
    (emptied, "reports/history.csv"),
    (swapped, LABEL),
    (hidden("--assume-unchanged", "stages/gate.py"), "stages/gate.py"),
    (hidden("--skip-worktree", "stages/gate.py"), "stages/gate.py"),
    (hidden("--assume-unchanged", "models/base.json"), "models/base.json"),
    (hidden("--skip-worktree", "reports/round.html"), "reports/round.html"),
    (behind_the_stat_cache, "reports/history.csv"),
    (in_the_index_too, "models/base.json"),
    (behind_a_replaced_object, "models/base.json"),
    (behind_a_filter, "reports/history.csv"),
    (added("stages/__pycache__/gate.cpython-311.pyc"), "stages/__pycache__/gate.cpython-311.pyc: not part"),
    (added("stages/json.py"), "stages/json.py: not part"),
    (added("stages/json.pyc", "echo '*.pyc' > .git/info/exclude"), "stages/json.pyc: not part"),
    (added("data/release/labels/__pycache__/x.pyc"), "data/release/labels/__pycache__/x.pyc: not part"),
    (added("__pycache__/sitecustomize.cpython-311.pyc"), "__pycache__/sitecustomize.cpython-311.pyc: not part"),
    (added("data/release/labels/case99.nii.gz"), "data/release/labels/case99.nii.gz: not part"),
    (added("data/release/labels/case99.nii.gz", "git add --force data"), "data/release/labels/case99.nii.gz: not part"),
    (added("data/round/bundles/bundle-r01-ann/more.txt"), "data/round/bundles/bundle-r01-ann/more.txt: not part"),
    (added("data/round/more.csv"), "data/round/more.csv: not part"),
    (added("data/images/.hidden"), "data/images/.hidden: not part"),
    (added("data/release/.git/labels"), "data/release/.git/labels: not part"),
    (added("notes.txt", "echo notes.txt > .git/info/exclude"), "notes.txt: not part"),
    (hidden_by("core.worktree"), "sitecustomize.py: not part"),
    (hidden_by("core.worktree", name="stolen/x.py"), "stolen/x.py: not part"),
    (hidden_by("core.excludesFile", lists="list"), "sitecustomize.py: not part"),
    (with_ignore_case, "DEMO/sitecustomize.py: not part"),
    (ignored_in_its_own_folder, "tools/sitecustomize.py: not part"),
]


@pytest.mark.parametrize(("alter", "named"), OTHERWISE, ids=[f"{n}-{name}" for n, (_, name) in enumerate(OTHERWISE)])
def test_other_alterations_of_files_are_named(
    clone: Path, released: Released, alter: Callable[[Path], None], named: str
) -> None:
    """Links, what git is told not to see, and what Python would run unseen."""
    alter(clone)
    require_altered(verify(released), named)


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "core.worktree", "core.excludesFile"])
def test_what_the_environment_says_of_git_hides_nothing(
    clone: Path, released: Released, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Git followed GIT_DIR and GIT_WORK_TREE to other files, and settings in GIT_CONFIG_COUNT to other lists."""
    run("git", "init", "--quiet", str(tmp_path / "other"))
    (tmp_path / ".gitignore").write_text("sitecustomize.py\n")
    elsewhere = {"GIT_DIR": "other/.git", "GIT_INDEX_FILE": "other/.git/index", "core.excludesFile": ".gitignore"}
    value = str(tmp_path / elsewhere.get(name, ""))
    if name.startswith("GIT_"):
        monkeypatch.setenv(name, value)
    else:
        for key, said in {"COUNT": "1", "KEY_0": name, "VALUE_0": value}.items():
            monkeypatch.setenv(f"GIT_CONFIG_{key}", said)
    assert verify(released).exit_code == 0
    added("sitecustomize.py")(clone)
    require_altered(verify(released), "sitecustomize.py: not part")


def runs(root: Path) -> str:
    """A command that leaves a trace."""
    (root.parent / "command").write_text(f"#!/bin/sh\necho ran >> {root.parent / 'ran'}\n")
    (root.parent / "command").chmod(0o755)
    return str(root.parent / "command")


def in_the_place_of(module: str) -> Callable[[Path], None]:
    def alter(root: Path) -> None:
        linked_by_dvc("symlink")(root)
        Path(module).parent.mkdir(exist_ok=True)
        Path(module).write_text(f"import os\nos.system({runs(root)!r})\n")

    return alter


def in_several_processes(root: Path) -> None:
    """Which verify starts only for many bytes."""
    for module in ("numpy.py", "voxledger/__init__.py", "multiprocessing/__init__.py"):
        in_the_place_of(module)(root)


def as_file_monitor(root: Path) -> None:
    run("git", "config", "core.fsmonitor", runs(root))


def as_hooks(root: Path) -> None:
    run("git", "config", "core.hooksPath", str(root.parent / "hooks"))
    for hook in ("post-index-change", "reference-transaction", "fsmonitor-watchman", "post-checkout"):
        (root.parent / "hooks").mkdir(exist_ok=True)
        (root.parent / "hooks" / hook).symlink_to(runs(root))


def as_remote_of_lost_objects(root: Path) -> None:
    """Git fetches what a partial clone lacks, by any command that the clone names."""
    lost = output("git", "rev-parse", f"HEAD:{SIGNATURE}").strip()
    packs = [p.rename(root.parent / p.name) for p in list((root / ".git/objects/pack").iterdir())]
    for pack in (p for p in packs if p.suffix == ".pack"):
        run("sh", "-c", f"git unpack-objects -q < {pack}")
    (root / ".git/objects" / lost[:2] / lost[2:]).unlink()
    for key, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": runs(root),
    }.items():
        run("git", "config", key, value)


@pytest.mark.parametrize(
    "alter",
    [
        in_the_place_of("dvc.py"),
        in_the_place_of("dvc/__init__.py"),
        in_several_processes,
        as_file_monitor,
        as_hooks,
        as_remote_of_lost_objects,
    ],
)
def test_nothing_of_the_clone_runs(
    clone: Path, released: Released, alter: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m dvc` took modules from the current folder, and git runs what the clone's settings name."""
    alter(clone)
    if alter is in_several_processes:
        monkeypatch.setattr(each, "WORTH_BYTES", 0)
        monkeypatch.setenv("VOXLEDGER_WORKERS", "2")
    (clone.parent / "ran").unlink(missing_ok=True)
    result = verify(released)
    assert not (clone.parent / "ran").exists(), result.output


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nintact", "a\\nintact: not part of the version"),
        ("a\x1b[2K", "a\\x1b[2K: not part of the version"),
        ("a\u202etxt.py", "a\\u202etxt.py: not part of the version"),
        (os.fsdecode(b"a\xff"), "a\\udcff: not part of the version"),
    ],
)
def test_a_name_of_a_file_prints_no_line_of_its_own(clone: Path, released: Released, name: str, shown: str) -> None:
    added(name)(clone)
    result = verify(released)
    require_altered(result, shown)
    assert "intact" not in result.output.splitlines()


# History rewritten under a tag of somebody else's ------------------------------------------------------------------

REWRITTEN = ("models/base.json", "reports/history.csv", "data/round/worklist.csv", "reports/round.html")


@pytest.mark.parametrize("name", REWRITTEN)
def test_a_file_rewritten_under_an_unsigned_tag_is_named(clone: Path, released: Released, name: str) -> None:
    flip(clone / name)
    commit_and_tag()
    result = verify(released)
    require_altered(result, name)
    require_altered(result, "tag round-01: not signed")
    require_altered(result, "tag two@v1.0.0: not signed")


@pytest.mark.parametrize("signed", ["nobody", "a stranger"])
def test_a_rewritten_version_with_a_manifest_that_fits_is_not_by_anybody_trusted(
    clone: Path, released: Released, tmp_path: Path, signed: str
) -> None:
    flip(clone / "reports/history.csv")
    values = json.loads((clone / MANIFEST).read_text())
    values["files"]["reports/history.csv"] = output("sha256sum", "reports/history.csv").split()[0]
    make_key(tmp_path, "other", "curator")
    rewrite_manifest(values, key=None if signed == "nobody" else tmp_path / "other")
    commit_and_tag(key=None if signed == "nobody" else tmp_path / "other")
    result = verify(released)
    require_altered(result, MANIFEST if signed == "a stranger" else SIGNATURE)
    require_altered(result, "tag round-01: ")


def rewrite_manifest(values: dict[str, object], key: Path | None, namespace: str = "voxledger-release") -> None:
    Path(MANIFEST).write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
    Path(SIGNATURE).unlink()
    if key:
        run("ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace, MANIFEST)


def commit_and_tag(key: Path | None = None, tags: tuple[str, ...] = ("round-01", "two@v1.0.0")) -> None:
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--allow-empty", "--message", "Close round 1: two v1.0.0")
    tag_head(key, tags)


def tag_head(key: Path | None, tags: tuple[str, ...]) -> None:
    how = ["-c", "gpg.format=ssh", "-c", f"user.signingkey={key}"]
    for tag in tags:
        run("git", *how, "tag", "--force", "--sign" if key else "--annotate", tag, "--message", "two v1.0.0")


# Tags and manifests that belong elsewhere --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "placed"),
    [("round-00", "round-01"), ("round-01", "round-00"), ("round-01", "round-02"), ("two@v0.0.0", "two@v1.0.0")],
)
def test_a_signed_tag_of_another_round_is_no_replay(
    repository: Path, released: Released, tag: str, placed: str
) -> None:
    """All that is signed of one round, shown as the one before or after: signatures are good, names are not."""
    run("git", "checkout", "--quiet", "--force", tag)
    run("git", "update-ref", f"refs/tags/{placed}", output("git", "rev-parse", f"refs/tags/{tag}").strip())
    result = verify(released, placed)
    number = 0 if tag in ("round-00", "two@v0.0.0") else 1
    require_altered(result, f"tag {placed}: leads to the manifest of round-0{number} and two@v{number}.0.0")
    require_altered(result, f"tag {placed}: is the tag object of {tag}")


def test_a_signed_tag_object_placed_over_its_sibling_is_named(clone: Path, released: Released) -> None:
    run("git", "update-ref", "refs/tags/round-01", output("git", "rev-parse", "refs/tags/two@v1.0.0").strip())
    require_altered(verify(released), "tag round-01: is the tag object of two@v1.0.0")


@pytest.mark.parametrize("moved", ["round-01", "two@v1.0.0"])
@pytest.mark.parametrize("asked", ["round-01", "two@v1.0.0"])
def test_a_tag_moved_to_another_commit_is_named(repository: Path, released: Released, moved: str, asked: str) -> None:
    run("git", "update-ref", f"refs/tags/{moved}", output("git", "rev-parse", "refs/tags/round-00").strip())
    require_altered(verify(released, asked), f"tag {moved}: was moved")


def test_a_tag_moved_to_a_commit_that_is_no_version_is_named(clone: Path, released: Released) -> None:
    Path(MANIFEST).unlink()
    commit_and_tag(key=released.root / "key")
    require_altered(verify(released), f"{MANIFEST}: round-01 holds none")


def test_a_commit_on_top_is_not_the_version(clone: Path, released: Released) -> None:
    flip(clone / "reports/history.csv")
    run("git", "commit", "--quiet", "--all", "--message", "more")
    result = verify(released)
    require_altered(result, "tag round-01: was moved")
    require_altered(result, "reports/history.csv")


@pytest.mark.parametrize("tag", ["round-01", "two@v1.0.0"])
@pytest.mark.parametrize("how", ["only a name", "unsigned", "foreign", "signed for something else", "other message"])
def test_a_tag_by_anybody_else_is_named(clone: Path, released: Released, tmp_path: Path, tag: str, how: str) -> None:
    """Each of both tags, though the other, the commit and the manifest are as they were."""
    if how == "only a name":
        run("git", "tag", "--force", tag, "HEAD")
    elif how == "unsigned":
        tag_head(None, (tag,))
    elif how == "foreign":
        make_key(tmp_path, "other", "curator")
        tag_head(tmp_path / "other", (tag,))
    elif how == "other message":
        text = output("git", "cat-file", "tag", tag).split("-----BEGIN")[0].replace("two v1.0.0", "two v9.0.0")
        place_tag(tag, text + signature_of(text, released.root / "key", "git"))
    else:
        text = output("git", "cat-file", "tag", tag).split("-----BEGIN")[0]
        place_tag(tag, text + signature_of(text, released.root / "key", "voxledger-release"))
    require_altered(verify(released), f"tag {tag}: ")


def signature_of(text: str, key: Path, namespace: str) -> str:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def place_tag(tag: str, text: str) -> None:
    done = subprocess.run(
        ["git", "hash-object", "-t", "tag", "-w", "--stdin"], input=text, capture_output=True, text=True, check=True
    )
    run("git", "update-ref", f"refs/tags/{tag}", done.stdout.strip())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"round": 2, "version": "v2.0.0"}, "params.yaml: speaks of round 1"),
        ({"dataset": "other"}, "params.yaml: speaks of round 1 of two"),
        ({"version": "v7.0.0"}, f"{MANIFEST}: round 1 cannot be version v7.0.0"),
        ({"files": {}}, "reports/history.csv: not in the manifest"),
    ],
)
def test_a_signed_manifest_of_something_else_is_named(
    clone: Path, released: Released, change: dict[str, object], named: str
) -> None:
    values = json.loads((clone / MANIFEST).read_text())
    rewrite_manifest({**values, **change}, key=released.root / "key")
    commit_and_tag(key=released.root / "key")
    require_altered(verify(released), named)


@pytest.mark.parametrize("folder", ["stages", "data/release"])
def test_a_commit_that_git_cannot_read_is_not_taken_for_an_empty_one(
    clone: Path, released: Released, folder: str
) -> None:
    """Where a folder of the commit was lost, nothing that git tracks was compared with it."""
    lost = output("git", "rev-parse", f"HEAD:{folder}").strip()
    packs = [p.rename(clone.parent / p.name) for p in list((clone / ".git/objects/pack").iterdir())]
    for pack in (p for p in packs if p.suffix == ".pack"):
        run("sh", "-c", f"git unpack-objects -q < {pack}")
    (clone / ".git/objects" / lost[:2] / lost[2:]).unlink()
    result = verify(released)
    assert result.exit_code == 1
    assert "git cannot read all of commit" in result.output
    assert "intact" not in result.output


@pytest.mark.parametrize("how", ["unsigned", "for something else", "of round 0"])
def test_a_manifest_without_its_signature_is_named(repository: Path, released: Released, how: str) -> None:
    if how == "of round 0":
        Path(SIGNATURE).write_text(output("git", "show", f"round-00:{SIGNATURE}"))
    else:
        values = json.loads(Path(MANIFEST).read_text())
        rewrite_manifest(values, None if how == "unsigned" else released.root / "key", namespace="git")
    commit_and_tag(key=released.root / "key")
    require_altered(verify(released), SIGNATURE if how == "unsigned" else f"{MANIFEST}: is not signed by anybody")


# What is not altered -----------------------------------------------------------------------------------------------


def as_it_is(root: Path) -> None:
    pass


def touched(root: Path) -> None:
    run("sh", "-c", "find . -path ./.git -prune -o -type f -exec touch -d 2001-01-01 {} +")


def another_umask(root: Path) -> None:
    run("chmod", "-R", "go-rwx,a-w", "data", "stages", "reports")


def linked_by_dvc(kind: str) -> Callable[[Path], None]:
    def relink(root: Path) -> None:
        run("dvc", "config", "--local", "cache.type", kind)
        run("dvc", "checkout", "--quiet", "--relink")
        assert Path(LABEL).is_symlink() == (kind == "symlink")

    return relink


def without_cache(root: Path) -> None:
    shutil.rmtree(".dvc/cache")


def with_what_a_round_leaves(root: Path) -> None:
    names = (".memo/infer/k/memo.json", ".venv/lib/__pycache__/x.pyc", "data/round/predictions/m/case0.b2nd")
    for name in (
        *names,
        "data/round/predictions/made.json",
        "bundle-r01-ann.zip",
        ".dvc/config.local",
        "demo/params.yaml",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")


def flagged(root: Path) -> None:
    run("git", "update-index", "--assume-unchanged", "dvc.yaml")
    run("git", "update-index", "--skip-worktree", "params.yaml")


def without_index(root: Path) -> None:
    Path(".git/index").unlink()


def other_tag_not_fetched(root: Path) -> None:
    run("git", "tag", "--delete", "two@v1.0.0")


UNALTERED = [
    as_it_is,
    touched,
    another_umask,
    linked_by_dvc("symlink"),
    pytest.param(linked_by_dvc("hardlink"), marks=pytest.mark.slow),
    without_cache,
    with_what_a_round_leaves,
    flagged,
    without_index,
    other_tag_not_fetched,
]


@pytest.mark.parametrize("change", UNALTERED, ids=lambda f: f.__qualname__.split(".")[0])
def test_nothing_unaltered_is_called_altered(clone: Path, released: Released, change: Callable[[Path], None]) -> None:
    change(clone)
    result = verify(released)
    assert result.exit_code == 0, result.output
    assert result.output.rstrip().endswith("intact")
    assert "manifest signed by curator; tag good" in result.output


def test_the_repository_that_closed_the_round_is_intact(repository: Path, released: Released) -> None:
    for tag in ("round-01", "two@v1.0.0"):
        assert verify(released, tag).exit_code == 0


def test_a_manifest_of_the_first_format_is_read(clone: Path, released: Released) -> None:
    """It listed some folders only; what it lists is checked, and what it does not is said."""
    folders = ["data/base", "data/inbox", "data/release/labels", "data/release/revisions", "data/weak", "stages"]
    values = json.loads((clone / MANIFEST).read_text())
    del values["format"]
    values["folders"] = folders
    values["files"] = {n: d for n, d in values["files"].items() if n.startswith(tuple(f"{f}/" for f in folders))}
    rewrite_manifest(values, key=released.root / "key")
    commit_and_tag(key=released.root / "key")
    result = verify(released)
    assert result.exit_code == 0, result.output
    assert "note: its manifest has format 1, which does not list bundles, attention and proposals" in result.output
    added("stages/__pycache__/gate.cpython-311.pyc")(clone)
    require_altered(verify(released), "stages/__pycache__/gate.cpython-311.pyc: not part")
    for name in (LABEL, "reports/history.csv", "data/images/case0.nii.gz"):
        flip(clone / name)
        require_altered(verify(released), name)
    (clone / "data/images/case1.nii.gz").unlink()
    assert "missing: data/images/case1.nii.gz" in verify(released).output


def trusted(released: Released, folder: Path, *lines: str) -> Path:
    """A file of trusted keys, with that of the curator in the place of KEY."""
    key = " ".join((released.root / "key.pub").read_text().split()[:2])
    (folder / "signers").write_text("".join(f"{line.replace('KEY', key)}\n" for line in lines))
    return folder / "signers"


@pytest.mark.parametrize(
    "lines",
    [
        ['curator namespaces="voxledger-release" KEY', 'curator-tags namespaces="git" KEY'],
        ['tags namespaces="git" KEY', 'release namespaces="voxledger-release" KEY a comment'],
        ['gone valid-before="20200101" KEY', "curator KEY"],
        ["# all of us", "", 'curator,other namespaces="voxledger-release,git" KEY'],
        ["*@example.org KEY"],
        ['curator valid-after="20200101",valid-before="20990101" KEY'],
    ],
)
def test_a_key_is_trusted_on_whichever_line_it_is(
    clone: Path, released: Released, tmp_path: Path, lines: list[str]
) -> None:
    """Only the first line that had the key was looked at: one namespace a line called an unaltered clone altered."""
    signers = trusted(released, tmp_path, *lines)
    result = CliRunner().invoke(cli, ["verify", "round-01", "--allowed-signers", str(signers)])
    assert result.exit_code == 0, result.output
    assert "tag good" in result.output


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (['curator valid-before="20200101" KEY'], "curator: key has expired"),
        (['curator valid-after="20990101" KEY'], "curator: key is not yet valid"),
        (['curator namespaces="file" KEY'], ""),
        (['"!curator" KEY', "other ssh-ed25519 AAAA", "curator", "KEY"], ""),
        ([""], ""),
    ],
)
def test_a_key_that_is_not_trusted_for_it_is_refused(
    clone: Path, released: Released, tmp_path: Path, lines: list[str], why: str
) -> None:
    signers = trusted(released, tmp_path, *lines)
    result = CliRunner().invoke(cli, ["verify", "round-01", "--allowed-signers", str(signers)])
    ending = f": {why}" if why else "\n"
    require_altered(result, MANIFEST)
    assert f"{MANIFEST}: is not signed by anybody in {signers}{ending}" in result.output
    assert f"tag round-01: its signature is not by anybody in {signers}{ending}" in result.output


@pytest.mark.parametrize(("tagged", "good"), [("2021-06-01", True), ("2019-06-01", False), ("2023-06-01", False)])
def test_a_key_has_to_be_valid_when_the_tag_was_made(
    clone: Path, released: Released, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tagged: str, good: bool
) -> None:
    """As git does: a key that has run out since does not make old releases untrusted."""
    monkeypatch.setenv("GIT_COMMITTER_DATE", f"{tagged}T12:00:00+0900")
    tag_head(released.root / "key", ("round-01", "two@v1.0.0"))
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    signers = trusted(released, tmp_path, 'curator valid-after="20210601",valid-before="20220101" KEY')
    result = CliRunner().invoke(cli, ["verify", "round-01", "--allowed-signers", str(signers)])
    assert result.exit_code == (0 if good else 1), result.output
    run("git", "config", "gpg.ssh.allowedSignersFile", str(signers))
    run("git", "tag", "--verify", "round-01", accept=(0,) if good else (1,))


def test_without_keys_it_is_said_that_nobody_was_checked(clone: Path) -> None:
    result = CliRunner().invoke(cli, ["verify", "round-01"])
    assert result.exit_code == 0
    assert "signed by somebody (give --allowed-signers FILE to check who); tag signed, not checked" in result.output


def test_elsewhere_than_in_a_version_is_misuse(clone: Path, released: Released, tmp_path: Path) -> None:
    assert verify(released, "round-77").exit_code == 2
    os.chdir(tmp_path)
    result = verify(released)
    assert result.exit_code == 2


# What git wrote with other line ends -------------------------------------------------------------------------------


def test_a_clone_with_autocrlf_is_as_released(
    released: Released, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Git for Windows clones by default."""
    source = f"file://{released.repository}"
    run("git", "clone", "-q", "-c", "core.autocrlf=true", "--branch", "round-01", source, str(tmp_path / "crlf"))
    monkeypatch.chdir(tmp_path / "crlf")
    result = verify(released)
    assert "problem: " not in result.output
    assert "other line ends" not in result.output
    assert b"\r\n" not in Path("stages/gate.py").read_bytes()


@pytest.fixture
def converted(clone: Path) -> Path:
    """The clone as git with core.autocrlf wrote it before versions had a .gitattributes."""
    (clone / ".git/info/attributes").write_text("* text=auto\n")
    run("git", "config", "core.autocrlf", "true")
    run("sh", "-c", "git ls-files -z | xargs -0 rm && git checkout --quiet .")
    assert b"\r\n" in (clone / "stages/gate.py").read_bytes()
    return clone


def test_line_ends_that_git_wrote_are_no_alteration(converted: Path, released: Released) -> None:
    """An unaltered clone of Windows had the answer *DO NOT USE*, for every text file."""
    result = verify(released)
    assert result.exit_code == 4, result.output
    assert "problem: " not in result.output
    assert "other line ends: .dvc/config" in result.output
    assert "git clone -c core.autocrlf=false --depth 1 --branch round-01 " in result.output
    assert result.output.rstrip().endswith("INCOMPLETE")
    assert json.loads(CliRunner().invoke(cli, ["verify", "round-01", "--json"]).stdout)["verdict"] == "incomplete"


@pytest.mark.parametrize("name", ["stages/gate.py", "params.yaml", MANIFEST, LABEL])
def test_what_was_altered_beside_other_line_ends_is_named(converted: Path, released: Released, name: str) -> None:
    Path(name).write_bytes(Path(name).read_bytes() + b"\r\n")
    require_altered(verify(released), name)


def test_other_line_ends_in_some_lines_are_an_alteration(clone: Path, released: Released) -> None:
    """Git converts all of a file or nothing."""
    path = clone / "stages/gate.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n", 1))
    require_altered(verify(released), "stages/gate.py")


# What is not here --------------------------------------------------------------------------------------------------


def without(*names: str) -> Callable[[Path], None]:
    def lose(root: Path) -> None:
        for name in names:
            shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink()

    return lose


def without_what_dvc_brings(root: Path) -> None:
    for file in root.glob("**/*.dvc"):
        if file.is_file():
            shutil.rmtree(file.with_suffix(""))
    without("data/round/pseudo", "data/round/attention", "data/round/bundles")(root)
    without("data/release/labels", "data/release/revisions", "models/next", ".dvc/cache")(root)


def links_into_an_empty_cache(root: Path) -> None:
    linked_by_dvc("symlink")(root)
    shutil.rmtree(".dvc/cache")


def sparse(root: Path) -> None:
    run("git", "update-index", "--refresh")
    run("git", "sparse-checkout", "set", "data", "models", ".dvc")


def removed_from_git(root: Path) -> None:
    run("git", "rm", "--quiet", "reports/history.csv")


IN_GIT = "git restore --ignore-skip-worktree-bits --source=HEAD -- "
LOST: list[tuple[Callable[[Path], None], str, str]] = [
    (without("dvc.yaml"), "dvc.yaml", f"{IN_GIT}dvc.yaml"),
    (without("params.yaml", "labels.yaml"), "labels.yaml", f"{IN_GIT}labels.yaml params.yaml"),
    (without("data/cases.csv"), "data/cases.csv", f"{IN_GIT}data/cases.csv"),
    (without(MANIFEST, SIGNATURE), MANIFEST, f"{IN_GIT}{MANIFEST} {SIGNATURE}"),
    (without("stages"), "stages: ", f"{IN_GIT}stages"),
    (sparse, "stages: ", f"{IN_GIT}reports stages"),
    (removed_from_git, "reports/history.csv", f"{IN_GIT}reports/history.csv"),
    (without_what_dvc_brings, LABEL, "dvc pull"),
    (without(".dvc", "dvc.yaml", LABEL), "dvc.yaml", f"{IN_GIT}.dvc dvc.yaml && dvc pull"),
]
MORE_LOST: list[tuple[Callable[[Path], None], str, str]] = [
    (without(LABEL), LABEL, "dvc pull"),
    (links_into_an_empty_cache, LABEL, "dvc pull"),
    (without("data/images.dvc", "data/images", LABEL), LABEL, f"{IN_GIT}data/images.dvc && dvc pull"),
]


@pytest.mark.parametrize(
    ("lose", "named", "command"), [*LOST, *(pytest.param(*lost, marks=pytest.mark.slow) for lost in MORE_LOST)]
)
def test_what_is_not_here_is_not_called_altered(
    clone: Path, released: Released, lose: Callable[[Path], None], named: str, command: str
) -> None:
    """It had the answer and the exit code of an alteration; a missing dvc.yaml was *not the root*."""
    lose(clone)
    result = verify(released)
    assert result.exit_code == 4, result.output
    assert f"missing: {named}" in result.output
    assert "problem: " not in result.output
    assert result.output.rstrip().endswith("INCOMPLETE")
    told = result.output.split("to bring them: ")[1].splitlines()[0]
    assert told == command
    run("sh", "-c", told)
    result = verify(released)
    assert result.exit_code == 0, result.output


def test_what_is_altered_and_incomplete_is_altered(clone: Path, released: Released) -> None:
    """Both are named, and what brings the one does not touch the other."""
    flip(clone / "stages/gate.py")
    without("stages/score.py", LABEL)(clone)
    result = verify(released)
    require_altered(result, "stages/gate.py: altered")
    assert f"missing: {LABEL}" in result.output
    assert "altered; to see whether only here: git clone --depth 1 --branch round-01 " in result.output
    before = Path("stages/gate.py").read_bytes()
    run("sh", "-c", result.output.split("to bring them: ")[1].splitlines()[0])
    assert Path("stages/gate.py").read_bytes() == before
    result = verify(released)
    require_altered(result, "stages/gate.py: altered")
    assert "missing: " not in result.output


@pytest.mark.parametrize(("change", "code"), [(as_it_is, 0), (added("stages/more.py"), 1), (without("dvc.yaml"), 4)])
def test_the_three_answers_have_three_exit_codes_for_programs_too(
    clone: Path, change: Callable[[Path], None], code: int
) -> None:
    change(clone)
    result = CliRunner().invoke(cli, ["verify", "round-01", "--json"])
    assert result.exit_code == code
    answer = json.loads(result.stdout)
    assert answer["verdict"] == {0: "intact", 1: "altered", 4: "incomplete"}[code]
    assert answer["intact"] == (code == 0)
    page = (Path(__file__).parents[2] / "docs/auditors.md").read_text()
    assert f"| {code} | `" in page
    assert str(code) in CliRunner().invoke(cli, ["verify", "--help"]).output.split("Exit codes:")[1]
