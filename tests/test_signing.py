"""Signatures count for one content, one purpose and one key alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from voxledger.errors import VoxledgerError
from voxledger.signing import GIT, RELEASE, sign, signer

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
