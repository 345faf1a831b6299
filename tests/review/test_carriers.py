"""Every carrier with real servers: lines that a reviewer types, returns that come back, and what nobody may do."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from servers import S3, Ssh, as_reviewer, client, cut_off, s3_server, ssh_server, status

from voxledger.errors import BundleRefused, Misuse, VoxledgerError, Waiting
from voxledger.review.carrier import Lines, Upload, Where, connect, where_of
from voxledger.review.carriers import s3 as s3_carrier

NAME = "bundle-r01-alice"
CARRIERS = ("folder", "zip", "s3", "ssh")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3") / "server") as server:
        yield server


@pytest.fixture(scope="module")
def ssh() -> Iterator[Ssh]:
    with ssh_server() as server:
        yield server


@dataclass
class World:
    """A place, who gets a bundle there, and how they do what they are told."""

    where: Where
    reviewer: str
    other: str
    home: Path | None = None

    def get(self, lines: Lines, folder: Path) -> None:
        """Get the bundle as the line says."""
        if found := re.search(r'"(/.*)"', lines.get):
            place = Path(found[1])
            (shutil.copytree if place.is_dir() else shutil.copy)(place, folder / place.name)
        else:
            as_reviewer(lines.get, folder, self.home)

    def give(self, lines: Lines, folder: Path, content: bytes) -> None:
        """Send a file back as the line says."""
        (folder / f"{NAME}.zip").write_bytes(content)
        if found := re.search(r'"(/.*)"', lines.give):
            shutil.copy(folder / f"{NAME}.zip", found[1])
        else:
            as_reviewer(lines.give, folder, self.home)


@pytest.fixture(params=CARRIERS)
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    if request.param in ("folder", "zip"):
        (tmp_path / "share").mkdir()
        text = f"{request.param}:{tmp_path}/share"
        return World(Where(text, text, {}), "alice", "bob")
    if request.param == "s3":
        return of_s3(request.getfixturevalue("s3"), tmp_path.name)
    return of_ssh(request.getfixturevalue("ssh"), tmp_path, monkeypatch)


def of_s3(server: S3, prefix: str) -> World:
    keys = {"access_key_id": "curator", "secret_access_key": "curators-secret", "endpointurl": server.endpoint}
    return World(Where("hospital", f"s3://drop/{prefix}", keys), "alice", "bob")


def of_ssh(server: Ssh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("HOME", str(server.home(tmp_path / "anna", server.curators[0])))
    for reviewer in server.reviewers:
        for file in (server.place / reviewer).glob("*/*"):
            file.unlink()
    url = f"ssh://{server.curators[0]}@127.0.0.1:{server.port}{server.place}"
    home = server.home(tmp_path / "alice", server.reviewers[0])
    return World(Where(url, url, {}), *server.reviewers, home)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "exported" / NAME
    (folder / "labels").mkdir(parents=True)
    (folder / "bundle.json").write_text("{}")
    (folder / "labels/case-7.nii.gz").write_bytes(os.urandom(300_000))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def desk(tmp_path: Path) -> Path:
    (tmp_path / "desk").mkdir()
    return tmp_path / "desk"


def test_a_reviewer_without_anything_gets_the_bundle_and_gives_it_back(
    world: World, bundle: Path, tmp_path: Path
) -> None:
    with connect(world.where) as connection:
        lines = connection.send(bundle, world.reviewer)
        assert "\n" not in lines.get + lines.give
        folder = desk(tmp_path)
        world.get(lines, folder)
        if (folder / f"{NAME}.zip").exists():
            as_reviewer(f"python3 -m zipfile -e {NAME}.zip .", folder)
        assert content(folder / NAME) == content(bundle)

        assert connection.uploads(world.reviewer) == []
        world.give(lines, folder, b"PK" + b"a" * 3_000_000)
        (upload,) = connection.uploads(world.reviewer)
        assert upload.bytes == 3_000_002
        whole = b"".join(connection.read(world.reviewer, upload, 0))
        assert whole == b"PK" + b"a" * 3_000_000
        assert b"".join(connection.read(world.reviewer, upload, 2_999_990)) == whole[2_999_990:]
        assert b"".join(connection.read(world.reviewer, upload, len(whole))) == b""
        assert connection.uploads(world.other) == []


def test_sending_again_changes_nothing(world: World, bundle: Path, tmp_path: Path) -> None:
    with connect(world.where) as connection:
        first = connection.send(bundle, world.reviewer)
        world.give(first, desk(tmp_path), b"a return")
        before = connection.uploads(world.reviewer)
        again = connection.send(bundle, world.reviewer)
        assert connection.uploads(world.reviewer) == before
        assert (again.give == first.give) == (world.where.carrier != "s3"), "every link of s3 is for one upload"


def test_a_second_upload_never_takes_the_place_of_the_first(world: World, bundle: Path, tmp_path: Path) -> None:
    if world.where.carrier in ("folder", "zip"):
        pytest.skip("on a share, a reviewer may do with her files what she likes")
    with connect(world.where) as connection:
        lines = connection.send(bundle, world.reviewer)
        folder = desk(tmp_path)
        world.give(lines, folder, b"the first")
        (folder / f"{NAME}.zip").write_bytes(b"the second")
        said = as_reviewer(lines.give, folder, world.home, fails=world.where.carrier == "s3")
        assert "412" in said or "Permission denied" in said
        (upload,) = connection.uploads(world.reviewer)
        assert b"".join(connection.read(world.reviewer, upload, 0)) == b"the first"


@pytest.mark.parametrize("carrier", ["s3", "ssh"])
def test_a_connection_that_breaks_off_is_told_and_goes_on_where_it_stopped(
    carrier: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.urandom(8 << 20)
    if carrier == "s3":
        s3 = request.getfixturevalue("s3")
        world, port = of_s3(s3, tmp_path.name), int(s3.endpoint.rpartition(":")[2])
        client(s3).put_object(Bucket="drop", Key=f"{tmp_path.name}/alice/return/x", Body=whole)
    else:
        ssh = request.getfixturevalue("ssh")
        world, port = of_ssh(ssh, tmp_path, monkeypatch), ssh.port
        (ssh.place / world.reviewer / "return/x").write_bytes(whole)
    with connect(world.where) as connection:
        (upload,) = connection.uploads(world.reviewer)
    with cut_off(port, 4 << 20) as broken:
        if carrier == "s3":
            where = replace(world.where, settings={**world.where.settings, "endpointurl": f"http://127.0.0.1:{broken}"})
        else:
            with (tmp_path / "anna/.ssh/known_hosts").open("a") as known:
                known.write(ssh.known_hosts.read_text().replace(str(port), str(broken)))
            url = world.where.url.replace(f":{port}/", f":{broken}/")
            where = Where(url, url, {})
        blocks: list[bytes] = []
        with pytest.raises(VoxledgerError, match="goes on from there"), connect(where) as connection:
            blocks.extend(connection.read(world.reviewer, upload, 0))
    read = b"".join(blocks)
    assert 0 < len(read) < len(whole)
    with connect(world.where) as connection:
        read += b"".join(connection.read(world.reviewer, upload, len(read)))
    assert read == whole


@pytest.fixture
def remotes(folder: Path) -> None:
    """A repository with remotes of DVC, one of which has a secret that others can read."""
    os.system("git init -q")
    Path(".dvc").mkdir()
    urls = {"hospital": "s3://drop/x", "store": "/mnt/x", "gs": "gs://x"}
    Path(".dvc/config").write_text("".join(f"['remote \"{name}\"']\n    url = {urls[name]}\n" for name in urls))
    Path(".dvc/config.local").write_text("['remote \"hospital\"']\n    secret_access_key = s\n")
    Path(".dvc/config.local").chmod(0o644)


def test_what_is_no_place_is_told(remotes: None) -> None:
    for text, said in (
        ("", "nobody has said where bundles go"),
        ("hopsital", r"names no DVC remote.*\n.*\(gs, hospital, store\)"),
        ("fodler:/x", "no carrier fodler; did you mean folder"),
        ("ssh://anna:secret@host/x", "holds a password"),
        ("store", "the url of the DVC remote store, is no CARRIER:PLACE"),
        ("gs", "no carrier gs"),
    ):
        with pytest.raises(Misuse, match=said) as told:
            where_of(text)
        assert "secret" not in str(told.value)


def test_a_remote_brings_its_settings_and_its_secrets_become_private(remotes: None) -> None:
    assert where_of("hospital") == Where("hospital", "s3://drop/x", {"url": "s3://drop/x", "secret_access_key": "s"})
    assert Path(".dvc/config.local").stat().st_mode & 0o777 == 0o600


# A folder that both reach.


@pytest.mark.parametrize("carrier", ["folder", "zip"])
@pytest.mark.parametrize(
    ("place", "said"), [("share", "no whole path"), ("/nowhere/at/all", "is no folder here"), ("", "no whole path")]
)
def test_a_place_that_is_not_there(carrier: str, place: str, said: str) -> None:
    text = f"{carrier}:{place}"
    with pytest.raises(Misuse, match=said), connect(Where(text, text, {})):
        pass


@pytest.mark.parametrize("carrier", ["folder", "zip"])
def test_work_where_the_bundle_lies_is_never_overwritten(carrier: str, bundle: Path, tmp_path: Path) -> None:
    text = f"{carrier}:{tmp_path}"
    with connect(Where(text, text, {})) as connection:
        connection.send(bundle, "alice")
        place = tmp_path / "alice/bundle" / (NAME if carrier == "folder" else f"{NAME}.zip")
        worked_on = place / "labels/case-7.nii.gz" if carrier == "folder" else place
        worked_on.write_bytes(b"corrected")
        with pytest.raises(VoxledgerError, match=r"somebody may have worked in it|what somebody sends back"):
            connection.send(bundle, "alice")
        assert worked_on.read_bytes() == b"corrected"


def test_a_folder_comes_back_as_a_zip_that_is_the_same_every_time(bundle: Path, tmp_path: Path) -> None:
    text = f"folder:{tmp_path}"
    with connect(Where(text, text, {})) as connection:
        connection.send(bundle, "alice")
        shutil.move(tmp_path / "alice/bundle" / NAME, tmp_path / "alice/return" / os.fsdecode(b"Jos\xe9: my work"))
        (upload,) = connection.uploads("alice")
        whole = b"".join(connection.read("alice", upload, 0))
        assert whole == b"".join(connection.read("alice", upload, 0))
        assert whole[1000:] == b"".join(connection.read("alice", upload, 1000))
        (tmp_path / "x.zip").write_bytes(whole)
        as_reviewer("python3 -m zipfile -e x.zip unpacked", tmp_path)
        assert content(tmp_path / "unpacked/return") == content(bundle)


def _link(folder: Path) -> None:
    (folder / "link.zip").symlink_to("/etc/hostname")


def _link_within(folder: Path) -> None:
    (folder / NAME / "labels").mkdir(parents=True)
    (folder / NAME / "labels/x.nii.gz").symlink_to("/etc/hostname")


def _linked_folder(folder: Path) -> None:
    (folder / NAME).symlink_to("/etc")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe.zip")


def _no_text_within(folder: Path) -> None:
    (folder / NAME).mkdir()
    (folder / NAME / os.fsdecode(b"Jos\xe9.txt")).touch()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        *((make, "link or no plain file") for make in (_link, _link_within, _linked_folder, _pipe)),
        (_no_text_within, r"'Jos\\udce9.txt' is no name in UTF-8"),
    ],
)
def test_links_pipes_and_names_of_bytes_on_a_share_are_refused(
    make: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    text = f"folder:{tmp_path}"
    (tmp_path / "alice/return").mkdir(parents=True)
    make(tmp_path / "alice/return")
    with connect(Where(text, text, {})) as connection:
        (upload,) = connection.uploads("alice")
        with pytest.raises(BundleRefused, match=said):
            list(connection.read("alice", upload, 0))


@pytest.mark.parametrize("linked", ["alice", "alice/return", "alice/bundle"])
@pytest.mark.parametrize("carrier", ["folder", "zip"])
def test_folders_of_a_share_that_lead_elsewhere_are_neither_read_nor_written(
    carrier: str, linked: str, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere/return").mkdir(parents=True)
    (tmp_path / "share" / linked).parent.mkdir(parents=True)
    (tmp_path / "share" / linked).symlink_to(tmp_path / "elsewhere")
    before = content(tmp_path / "elsewhere")
    text = f"{carrier}:{tmp_path}/share"
    with connect(Where(text, text, {})) as connection:
        with pytest.raises(BundleRefused, match="is a link"):
            connection.send(bundle, "alice")
        if not linked.endswith("bundle"):
            with pytest.raises(BundleRefused, match="is a link"):
                connection.uploads("alice")
    assert content(tmp_path / "elsewhere") == before


@pytest.mark.parametrize("carrier", ["zip", "ssh"])
def test_what_is_still_being_written_is_left_for_later(
    carrier: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if carrier == "ssh":
        server = request.getfixturevalue("ssh")
        world = of_ssh(server, tmp_path, monkeypatch)
        back = server.place / world.reviewer / "return"
    else:
        world = World(Where(f"zip:{tmp_path}", f"zip:{tmp_path}", {}), "alice", "bob")
        back = tmp_path / "alice/return"
        back.mkdir(parents=True)
    (back / "half.zip").write_bytes(b"PK half")
    with connect(world.where) as connection:
        (upload,) = connection.uploads(world.reviewer)
        with (back / "half.zip").open("ab") as stream:
            stream.write(b" and the rest")
        with pytest.raises(Waiting, match="still"):
            list(connection.read(world.reviewer, upload, 0))
        (now,) = connection.uploads(world.reviewer)
        assert now.version != upload.version


# S3: links that are signed.


@pytest.fixture
def signed(s3: S3, bundle: Path, tmp_path: Path) -> Iterator[tuple[Any, Lines]]:
    with connect(of_s3(s3, tmp_path.name).where) as connection:
        yield connection, connection.send(bundle, "alice")


def _url(line: str) -> str:
    return re.findall(r'"(http[^"]*)"', line)[0]


def test_a_link_of_s3_is_good_for_one_key_and_one_use(signed: tuple[Any, Lines], s3: S3, tmp_path: Path) -> None:
    _, lines = signed
    get, put = _url(lines.get), _url(lines.give)
    once = ("--header", "If-None-Match: *")
    (tmp_path / "x").write_bytes(b"x")
    upload = ("--upload-file", str(tmp_path / "x"))
    other = put.replace("/return/", "/return/0")
    table = {
        "the bundle": status(get) == 200,
        "nothing else of hers": status(get.replace("/bundle/", "/return/")) == 403,
        "another reviewer's": status(get.replace("/alice/", "/bob/")) == 403,
        "the bundle cannot be written": status(get, *upload) == 403,
        "nor removed": status(get, "--request", "DELETE") == 403,
        "nothing is listed": status(f"{s3.endpoint}/drop?list-type=2") == 403,
        "another key": status(other, *once, *upload) == 403,
        "without the header": status(put, *upload) == 403,
        "with another header": status(put, "--header", "If-None-Match: abc", *upload) == 403,
        "the first upload": status(put, *once, *upload) == 200,
        "the second upload": status(put, *once, *upload) == 412,
        "the return cannot be read": status(put) == 403,
        "nor removed, either": status(put, "--request", "DELETE") == 403,
    }
    assert [name for name, right in table.items() if not right] == []


@pytest.mark.slow
def test_links_of_s3_expire(s3: S3, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_carrier, "VALID", timedelta(seconds=1))
    with connect(of_s3(s3, tmp_path.name).where) as connection:
        lines = connection.send(bundle, "alice")
        (tmp_path / "x").write_bytes(b"x")
        time.sleep(2.1)
        assert status(_url(lines.get)) == 403
        put = ("--header", "If-None-Match: *", "--upload-file", str(tmp_path / "x"))
        assert status(_url(lines.give), *put) == 403
        assert connection.uploads("alice") == []


def test_a_large_bundle_goes_to_s3_in_parts(
    s3: S3, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_carrier, "PART", 5 << 20)
    (bundle / "images").mkdir()
    (bundle / "images/case-7.nii.gz").write_bytes(os.urandom(12 << 20))
    with connect(of_s3(s3, tmp_path.name).where) as connection:
        lines = connection.send(bundle, "alice")
        folder = desk(tmp_path)
        as_reviewer(lines.get, folder)
        as_reviewer(f"python3 -m zipfile -e {NAME}.zip .", folder)
        assert content(folder / NAME) == content(bundle)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"access_key_id": "reviewer", "secret_access_key": "reviewers-secret"}, "your keys may read and write"),
        ({"secret_access_key": "wrong"}, "your keys may read and write"),
        ({"url": "s3:drop"}, "names no bucket"),
        ({"url": "s3://drop/a b"}, "names no bucket"),
        ({"profile": "nobody"}, "nobody"),
        ({"endpointurl": "http://127.0.0.1:9"}, "cannot be reached"),
        ({"endpointurl": "not a url"}, "not a url"),
    ],
)
def test_what_is_wrong_with_s3_is_told(s3: S3, bundle: Path, more: dict[str, str], said: str) -> None:
    where = of_s3(s3, "wrong").where
    where = replace(where, url=more.get("url", where.url), settings={**where.settings, **more})
    with pytest.raises(VoxledgerError, match=said) as told, connect(where) as connection:
        connection.send(bundle, "alice")
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("answer", [200, 501])
def test_nothing_is_sent_where_a_second_upload_would_take_the_place_of_the_first(bundle: Path, answer: int) -> None:
    """Servers that do not know `If-None-Match` ignore it, or say so; this one stands for them."""
    written = []

    class Careless(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            written.append(self.path)
            body = b"<Error><Code>NotImplemented</Code></Error>" if self.headers["If-None-Match"] else b""
            self.send_response(answer if body else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Careless) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = of_s3(S3(f"http://127.0.0.1:{server.server_port}", bundle), "x").where
        with pytest.raises(VoxledgerError, match="does not heed If-None-Match"), connect(where) as connection:
            connection.send(bundle, "alice")
        server.shutdown()
    assert set(written) == {"/drop/x/write-once"}


def test_without_keys_and_without_botocore_the_remedy_is_told(
    s3: S3, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    where = Where("h", "s3://drop/x", {"endpointurl": s3.endpoint})
    with pytest.raises(Misuse, match="access_key_id"), connect(where) as connection:
        connection.send(bundle, "alice")
    monkeypatch.setitem(__import__("sys").modules, "botocore.session", None)
    with pytest.raises(Misuse, match=r"pip install 'voxledger\[s3\]'"), connect(where):
        pass


# SSH: an account in a chroot.


def test_a_reviewer_at_the_ssh_server_reads_the_bundle_and_adds_to_return_and_no_more(
    ssh: Ssh, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = of_ssh(ssh, tmp_path, monkeypatch)
    assert world.home is not None
    sftp = f"sftp -P {ssh.port} {world.reviewer}@127.0.0.1"
    with connect(world.where) as connection:
        connection.send(bundle, world.reviewer)
        connection.send(bundle, world.other)
    folder = desk(tmp_path)
    (folder / "x.zip").write_bytes(b"x")

    def said(command: str) -> str:
        return as_reviewer(f"echo '{command}' | {sftp}", folder, world.home)

    assert sorted(said("ls -1").split("\n")[1:3]) == ["bundle", "return"]
    assert "bundle" in said("ls -1 /../..")
    said("put x.zip return/")
    denied = (
        *("ls return", "get return/x.zip y", "rm return/x.zip", "chmod 666 return/x.zip", "put x.zip return/x.zip"),
        *("rename return/x.zip return/y.zip", "symlink /bundle return/l", "mkdir return/d", "rmdir return"),
        *("put x.zip bundle/", "put x.zip /", f"rm bundle/{NAME}.zip", f"chmod 777 bundle/{NAME}.zip"),
        *(f"put x.zip bundle/{NAME}.zip", "chmod 777 return", "chmod 777 bundle"),
    )
    assert said("\n".join(denied)).count("Permission denied") == len(denied)
    paths = (f"../{world.other}/bundle/{NAME}.zip", f"{ssh.place}/{world.other}/bundle/{NAME}.zip", "/etc/passwd")
    assert said("\n".join(f"get {path}" for path in paths)).count("not found") == len(paths)
    assert (ssh.place / world.reviewer / "return/x.zip").read_bytes() == b"x"
    ssh_line = f"/usr/bin/ssh -F {world.home}/.ssh/openssh -p {ssh.port} {world.reviewer}@127.0.0.1 id"
    assert "uid=" not in as_reviewer(ssh_line, folder, fails=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ssh, home: (home / ".ssh/known_hosts").unlink(), "is not one that you know"),
        (lambda ssh, home: shutil.copy(ssh.keys / "host", home / ".ssh/id_ed25519"), "does not let you in"),
        (lambda ssh, home: shutil.rmtree(ssh.place / ssh.reviewers[0] / "bundle"), "is the reviewer set up there"),
        (lambda ssh, home: shutil.copy(ssh.keys / ssh.reviewers[1], home / ".ssh/id_ed25519"), "does not let you in"),
    ],
)
def test_what_is_wrong_with_ssh_is_told(
    ssh: Ssh, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[..., Any], said: str
) -> None:
    world = of_ssh(ssh, tmp_path, monkeypatch)
    place = ssh.place / world.reviewer / "bundle"
    mode, group = place.stat().st_mode, place.stat().st_gid
    try:
        change(ssh, tmp_path / "anna")
        with pytest.raises(VoxledgerError, match=said), connect(world.where) as connection:
            connection.send(bundle, world.reviewer)
    finally:
        place.mkdir(exist_ok=True)
        os.chown(place, 0, group)
        place.chmod(mode)


@pytest.mark.parametrize("url", ["ssh://127.0.0.1:9/x", "ssh:///x", "ssh://h:port/x", "ssh://-oProxyCommand=x/y"])
def test_addresses_of_ssh_that_lead_nowhere(url: str) -> None:
    with (
        pytest.raises(VoxledgerError, match=r"cannot be reached|names no host|port|Port"),
        connect(Where(url, url, {})),
    ):
        pass


def test_an_upload_that_the_curator_may_not_read_names_the_remedy(
    ssh: Ssh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent with the rights of a file that is private at the reviewer's."""
    world = of_ssh(ssh, tmp_path, monkeypatch)
    folder = desk(tmp_path)
    (folder / "x.zip").write_bytes(b"x")
    (folder / "x.zip").chmod(0o600)
    as_reviewer(f"echo put x.zip return/ | sftp -P {ssh.port} {world.reviewer}@127.0.0.1", folder, world.home)
    with connect(world.where) as connection:
        (upload,) = connection.uploads(world.reviewer)
        with pytest.raises(VoxledgerError, match="chmod"):
            list(connection.read(world.reviewer, upload, 0))


def test_names_of_uploads_are_never_paths(ssh: Ssh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = of_ssh(ssh, tmp_path, monkeypatch)
    names = [b"a b.zip", b"\xff.zip", b"new\nline.zip", b"*.zip", b'"quoted".zip']
    for name in names:
        Path(os.fsdecode(bytes(ssh.place / world.reviewer / "return") + b"/" + name)).write_bytes(name)
    with connect(world.where) as connection:
        found: list[Upload] = connection.uploads(world.reviewer)
        read = {b"".join(connection.read(world.reviewer, upload, 0)) for upload in found}
    assert read == set(names)


def test_the_reviewer_identity_of_s3_has_no_rights(s3: S3) -> None:
    for attempt in (
        lambda c: c.list_objects_v2(Bucket="drop"),
        lambda c: c.get_object(Bucket="drop", Key="x/alice/bundle/b.zip"),
        lambda c: c.put_object(Bucket="drop", Key="x/alice/return/r", Body=b""),
    ):
        with pytest.raises(Exception, match="AccessDenied"):
            attempt(client(s3, "reviewer"))
