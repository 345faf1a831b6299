"""Purging what lies behind SSH and in S3: real servers, real git, DVC and ssh-keygen."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import output, run
from purged_world import FILES, FOLDERS, GONE, STAYS, build, contents, key
from servers import S3, Ssh, client, cut_off, free_port, s3_server, ssh_server

from voxledger.errors import VoxledgerError
from voxledger.release.purge import carry_out, plan

pytestmark = pytest.mark.slow

PURGE = ("voxledger", "withdraw", "purge", "--yes", "--keys", "../keys")
LEFT = {n for n, text in FILES.items() if text not in GONE} - {"data/weak/p1.nii.gz"}
"""What an old version has afterwards."""


@dataclass
class Far:
    """A remote on another machine."""

    url: str
    shared: dict[str, str]
    own: dict[str, str]
    """Settings that are not in git."""
    nowhere: dict[str, str]
    """The same of one whose server does not answer."""
    server: Ssh | S3

    def fill(self, store: Path) -> None:
        """Put there what a store on this machine has."""
        if isinstance(self.server, Ssh):
            shutil.copytree(store / "files", self.server.data / "files")
            run("chown", "-R", self.own["user"], str(self.server.data / "files"))
            return
        s3 = client(self.server)
        for path in (p for p in store.rglob("*") if p.is_file()):
            s3.put_object(Bucket="store", Key=f"one/{path.relative_to(store)}", Body=path.read_bytes())

    def contents(self) -> set[str]:
        """What its objects hold, but lists of folders."""
        if isinstance(self.server, Ssh):
            return contents(self.server.data)
        s3 = client(self.server)
        keys = [e["Key"] for e in s3.list_objects_v2(Bucket="store").get("Contents", []) if e["Key"][-4:] != ".dir"]
        return {s3.get_object(Bucket="store", Key=key)["Body"].read().decode() for key in keys}

    def empty(self) -> None:
        """Take everything out, as the next test has it to itself."""
        if isinstance(self.server, Ssh):
            for path in self.server.data.iterdir():
                shutil.rmtree(path)
            return
        s3 = client(self.server)
        for entry in s3.list_objects_v2(Bucket="store").get("Contents", []):
            s3.delete_object(Bucket="store", Key=entry["Key"])
        listed = s3.list_object_versions(Bucket="store")
        for entry in (*listed.get("Versions", []), *listed.get("DeleteMarkers", [])):
            s3.delete_object(Bucket="store", Key=entry["Key"], VersionId=entry["VersionId"])

    def versions(self) -> list[str]:
        """What all versions of its objects hold, lists of folders among them."""
        assert isinstance(self.server, S3)
        s3 = client(self.server)
        found = [(e["Key"], e["VersionId"]) for e in s3.list_object_versions(Bucket="store").get("Versions", [])]
        return [s3.get_object(Bucket="store", Key=k, VersionId=v)["Body"].read().decode() for k, v in found]

    @contextlib.contextmanager
    def keeping_versions(self) -> Iterator[None]:
        """Of a bucket."""
        assert isinstance(self.server, S3)
        for status in ("Enabled", "Suspended"):
            client(self.server).put_bucket_versioning(Bucket="store", VersioningConfiguration={"Status": status})
            if status == "Enabled":
                yield


@pytest.fixture(scope="module", params=["ssh", "s3"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    folder = tmp_path_factory.mktemp("server")
    if request.param == "s3":
        with s3_server(folder / "s3", looker=["Read", "List"]) as s3:
            own = {"access_key_id": "curator", "secret_access_key": "curators-secret"}
            nowhere = {**own, "endpointurl": f"http://127.0.0.1:{free_port()}"}
            yield Far("s3://store/one", {"endpointurl": s3.endpoint}, own, nowhere, s3)
    else:
        with ssh_server(curators=1, reviewers=0) as ssh:
            home = ssh.home(folder / "home", ssh.curators[0])
            own = {"user": ssh.curators[0], "keyfile": str(home / ".ssh/id_ed25519")}
            nowhere = {**own, "port": str(free_port())}
            yield Far(f"ssh://127.0.0.1{ssh.data}", {"port": str(ssh.port)}, own, nowhere, ssh)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("purge")
    build(root)
    return root


@pytest.fixture
def far(server: Far, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    """A copy of the repository, as the current folder, whose remotes are a folder and one far away, with everything."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy/repo")
    remotes(far={"url": server.url, "verify": "true", **server.shared})
    settings(server.own)
    server.fill(Path("../store"))
    assert server.contents() == set(FILES.values())
    yield server
    server.empty()


def remotes(**values: dict[str, str]) -> None:
    """Configure more remotes, as `dvc remote add` does, and commit that."""
    with open(".dvc/config", "a", encoding="utf-8") as config:
        config.writelines(_section(name, of_one) for name, of_one in values.items())
    run("git", "commit", "--quiet", "--all", "--message", "Remotes")


def settings(values: dict[str, str]) -> None:
    """Settings of the far remote for this clone alone, in the place of those before."""
    Path(".dvc/config.local").write_text(_section("far", values))


def _section(name: str, values: dict[str, str]) -> str:
    return f"['remote \"{name}\"']\n" + "".join(f"    {key} = {value}\n" for key, value in values.items())


def purge() -> tuple[dict[str, int], dict[str, str]]:
    """How many objects went from where, and what places still hold."""
    done = carry_out(plan(key(Path.cwd().parent)))
    return done.removed, done.left


def pulled(tag: str, folder: Path, purged: bool = True) -> set[str]:
    """What a new clone pulls of a version from far away alone.

    Not with `verify true` once lists were cut, which DVC would take for damaged.
    """
    run("git", "clone", "--quiet", "--branch", tag, ".", str(folder))
    for name in (".dvc/config", ".dvc/config.local"):
        shutil.copyfile(name, folder / name)
    if purged:
        with open(folder / ".dvc/config.local", "a", encoding="utf-8") as config:
            config.write("    verify = false\n")
    run("dvc", "pull", "--quiet", "--remote", "far", *(f"{name}.dvc" for name in FOLDERS), cwd=folder)
    return {p.relative_to(folder).as_posix() for name in FOLDERS for p in (folder / name).rglob("*.*")}


def test_objects_go_and_old_tags_are_pulled(far: Far, tmp_path: Path) -> None:
    shutil.copytree("..", tmp_path / "other")
    assert purge() == ({"remote far": 3, "remote store": 3, "cache": 3}, {})
    assert far.contents() == contents(Path("../store")) == contents(Path(".dvc/cache")) == STAYS
    assert pulled("round-00", tmp_path / "new") == LEFT
    assert purge() == ({"remote far": 0, "remote store": 0, "cache": 0}, {})

    # A clone that still has them brings them back.
    other = tmp_path / "other/repo"
    run("git", "checkout", "--quiet", "round-00", cwd=other)
    shutil.copyfile(".dvc/config", other / ".dvc/config")
    run("dvc", "push", "--quiet", "--remote", "far", cwd=other)
    assert far.contents() == set(FILES.values())
    assert purge()[0]["remote far"] == 3
    assert far.contents() == STAYS
    assert pulled("round-00", tmp_path / "newer") == LEFT


def test_a_remote_that_is_not_reached_is_named_until_it_is(far: Far) -> None:
    settings(far.nowhere)
    shutil.move("../store", "../unmounted")
    for again in range(2):
        removed, left = purge()
        assert removed == {"cache": 0 if again else 3}
        assert left.keys() == {"remote far", "remote store"}
        assert all("what it still holds is not known" in why for why in left.values())
    assert far.contents() == contents(Path("../unmounted")) == set(FILES.values())
    assert contents(Path(".dvc/cache")) == STAYS
    for more in ("--dry-run", "--yes"):
        said = run("voxledger", "withdraw", "purge", more, "--keys", "../keys", accept=(1,))
        assert "remote far: cannot be looked at: " in said
    settings(far.own)
    shutil.move("../unmounted", "../store")
    assert purge() == ({"remote far": 3, "remote store": 3, "cache": 0}, {})
    assert far.contents() == contents(Path("../store")) == STAYS


def test_nothing_goes_where_only_a_remote_that_is_not_reached_knows_what_others_have(far: Far) -> None:
    shutil.rmtree("../store")
    shutil.rmtree(".dvc/cache/files")
    Path(".dvc/config").write_text(_section("far", {"url": far.url, **far.shared}))
    run("git", "commit", "--quiet", "--all", "--message", "One remote")
    settings(far.nowhere)
    with pytest.raises(VoxledgerError, match="no other place lists"):
        purge()
    assert not Path("data/purged.json").exists()
    settings(far.own)
    what = plan(key(Path.cwd().parent))
    assert [line for line in what.elsewhere if line.endswith("store was a remote once, and is none now")]
    assert carry_out(what).removed == {"remote far": 3, "cache": 0}
    assert far.contents() == STAYS


def test_who_may_not_remove_there_is_told_so(far: Far, tmp_path: Path) -> None:
    if isinstance(far.server, Ssh):
        run("chmod", "-R", "a-w", str(far.server.data))
    else:
        settings({"access_key_id": "looker", "secret_access_key": "looker-secret"})
    removed, left = purge()
    assert removed == {"remote store": 3, "cache": 3}
    assert left.keys() == {"remote far"}
    assert left["remote far"].endswith(": 3 of 3 objects are still there")
    assert far.contents() == set(FILES.values())
    assert pulled("round-00", tmp_path / "before", purged=False) == set(FILES)
    if isinstance(far.server, Ssh):
        run("chmod", "-R", "u+w", str(far.server.data))
    settings(far.own)
    assert purge() == ({"remote far": 3, "remote store": 0, "cache": 0}, {})
    assert far.contents() == STAYS


def test_a_line_that_goes_dead_leaves_nothing_half_done(far: Far, tmp_path: Path) -> None:
    if not isinstance(far.server, Ssh):
        pytest.skip("S3 stores an object whole or not at all")
    ended = set()
    for after in (2000, 5000, 7000, 9000, 12000):
        with cut_off(far.server.port, after) as port:
            settings({**far.own, "port": str(port)})
            done = subprocess.run(PURGE, capture_output=True, text=True, check=False, timeout=300)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == 0 or "remote far: " in done.stderr, done.stderr
        ended.add(done.returncode)
        assert far.contents() >= STAYS
    assert 1 in ended
    settings(far.own)
    purge()
    assert far.contents() == STAYS
    assert pulled("round-00", tmp_path / "new") == LEFT


def test_what_cannot_be_purged_is_said(far: Far) -> None:
    versions = {"url": "s3://drop/one", "version_aware": "true"}
    remotes(versions=versions, tree={**versions, "worktree": "true"}, web={"url": "http://127.0.0.1:1/one"})
    removed, left = purge()
    assert removed == {"remote far": 3, "remote store": 3, "cache": 3}
    assert left.keys() == {"remote versions", "remote tree", "remote web"}
    assert "unsupported for cloud versioned remotes" in left["remote versions"]


def test_versions_that_a_bucket_keeps_are_named_until_they_are_gone(far: Far) -> None:
    if not isinstance(far.server, S3):
        pytest.skip("only S3 keeps versions")
    with far.keeping_versions():
        far.fill(Path("../store"))  # again, beside what was there before it kept versions
        before = far.versions()
        assert [before.count(text) for text in GONE] == 3 * [2]
        for again in range(2):
            said = run(*PURGE, accept=(1,))
            commands = [shlex.split(line) for line in said.splitlines() if line.startswith("aws ")]
            assert f"remote far: the bucket keeps {len(commands)} versions of what is removed" in said
            # Two of every object that went, and two of each list of the three folders.
            assert len(commands) == 2 * 3 + 2 * 3 - again
            assert far.contents() == STAYS
            assert {*far.versions()} >= GONE
            remove_versions(far.server, commands if again else commands[:1])
        left = far.versions()
        assert not any(text in GONE or re.search(r"\bp1(_heat)?[./]", text) for text in left)
        assert [left.count(text) for text in STAYS] == [before.count(text) for text in STAYS]
        done = json.loads(output(*PURGE, "--json"))
        assert (done["left"], done["versions"]) == ({}, {})


def remove_versions(server: S3, commands: list[list[str]]) -> None:
    """What the command line of AWS does by these commands."""
    s3 = client(server)
    for command in commands:
        assert command[:5] == ["aws", "--endpoint-url", server.endpoint, "s3api", "delete-object"]
        of = dict(zip(command[5::2], command[6::2], strict=True))
        assert of.keys() == {"--bucket", "--key", "--version-id"}
        s3.delete_object(Bucket=of["--bucket"], Key=of["--key"], VersionId=of["--version-id"])
