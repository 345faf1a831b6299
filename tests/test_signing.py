"""Signatures count for one content, one purpose and one key alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from voxledger.errors import VoxledgerError
from voxledger.signing import GIT, RELEASE, REVIEW, fingerprint, read_header, sign, signer, trusts_for

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH's client")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of alice and bob, a file signed by alice as `file`, and who may sign."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("alice", "bob"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
        allowed = f"{name}@example.org {(folder / f'{name}.pub').read_text()}"
        (folder / f"{name}.allowed").write_text(allowed)
    (folder / "file").write_bytes(b"content\n")
    sign(folder / "file", str(folder / "alice"), RELEASE)
    return folder


@pytest.mark.parametrize(
    ("content", "namespace", "allowed", "who"),
    [
        (b"content\n", RELEASE, "alice.allowed", "alice@example.org"),
        (b"content\n", RELEASE, None, "somebody (give --allowed-signers FILE to check who)"),
        (b"content\n", RELEASE, "bob.allowed", None),
        (b"content\n", GIT, "alice.allowed", None),
        (b"content\n", GIT, None, None),
        (b"altered\n", RELEASE, "alice.allowed", None),
        (b"altered\n", RELEASE, None, None),
        (b"", RELEASE, "alice.allowed", None),
    ],
)
def test_a_signature_counts_for_what_was_signed(
    keys: Path, content: bytes, namespace: str, allowed: str | None, who: str | None
) -> None:
    signature = (keys / "file.sig").read_bytes()
    assert signer(content, signature, namespace, keys / allowed if allowed else None).name == who


@pytest.mark.parametrize("signature", [b"", b"nonsense", b"-----BEGIN SSH SIGNATURE-----\n"])
def test_what_is_no_signature_is_by_nobody(keys: Path, signature: bytes) -> None:
    assert signer(b"content\n", signature, RELEASE, keys / "alice.allowed").name is None
    assert signer(b"content\n", signature, RELEASE, None).name is None


def test_a_key_that_is_not_there_is_named(keys: Path) -> None:
    with pytest.raises(VoxledgerError, match=r"could not be signed with .*nobody"):
        sign(keys / "file", str(keys / "nobody"), RELEASE)


def test_a_signature_is_replaced_and_not_kept(keys: Path, tmp_path: Path) -> None:
    """Where one is there, `ssh-keygen -Y sign FILE` asks, keeps it, and ends with 0."""
    file = tmp_path / "file"
    for content in (b"one\n", b"two\n"):
        file.write_bytes(content)
        sign(file, str(keys / "alice"), RELEASE)
        assert signer(content, (tmp_path / "file.sig").read_bytes(), RELEASE, keys / "alice.allowed").name
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "file.sig"]


def test_a_signature_says_whose_key_it_is_by_and_what_it_is_for(keys: Path) -> None:
    header = read_header((keys / "file.sig").read_bytes())
    assert header is not None
    said = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(keys / "alice.pub")], capture_output=True, text=True, check=True
    )
    assert (header.namespace, header.fingerprint) == (RELEASE, said.stdout.split()[1])
    assert fingerprint((keys / "alice.pub").read_text().split()[1]) == header.fingerprint


@pytest.mark.parametrize(("name", "who"), [("alice@example.org", "alice@example.org"), ("bob@example.org", None)])
def test_a_signature_may_have_to_be_one_persons(keys: Path, tmp_path: Path, name: str, who: str | None) -> None:
    (tmp_path / "both").write_text((keys / "alice.allowed").read_text() + (keys / "bob.allowed").read_text())
    signature = (keys / "file.sig").read_bytes()
    assert signer(b"content\n", signature, RELEASE, tmp_path / "both", name=name).name == who


@pytest.mark.parametrize(
    ("text", "trusts"),
    [
        ("", False),
        ("# alice ssh-ed25519 A\n\n", False),
        ("alice ssh-ed25519 A\n", True),
        ('alice namespaces="git,voxledger-review" ssh-ed25519 A\n', True),
        ('alice namespaces="voxledger-*" ssh-ed25519 A\n', True),
        ('alice namespaces="git" ssh-ed25519 A\n', False),
    ],
)
def test_a_file_trusts_somebody_for_a_purpose(tmp_path: Path, text: str, trusts: bool) -> None:
    (tmp_path / "trusted").write_text(text)
    assert trusts_for(tmp_path / "trusted", REVIEW) is trusts
