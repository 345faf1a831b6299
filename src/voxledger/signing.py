"""Signatures with ssh keys: sign a file, and find out who signed one."""

from __future__ import annotations

import tempfile
from pathlib import Path

from voxledger.errors import VoxledgerError
from voxledger.repository import run_tool

RELEASE = "voxledger-release"
"""Namespace of releases: keeps a key that signs reviews, or anything else, from signing a release."""
GIT = "git"
"""Namespace in which git signs tags and commits."""


def sign(path: Path, key: str, namespace: str) -> None:
    """Write the signature of a file beside it, as `<name>.sig`.

    Parameters
    ----------
    path
        File to sign.
    key
        Path of an ssh key, private, or public with the private one in an agent.
    namespace
        What the signature is for; it counts for nothing else.

    Raises
    ------
    VoxledgerError
        The key cannot sign, as where it has a passphrase and no agent runs.
    """
    done = run_tool("ssh-keygen", "-Y", "sign", "-f", key, "-n", namespace, path)
    if done.returncode != 0:
        raise VoxledgerError(
            f"{path} could not be signed with {key}: {done.stderr.decode(errors='replace').strip()}",
            "check `git config user.signingkey`; a key with a passphrase needs a running ssh-agent",
        )


def signer(content: bytes, signature: bytes, namespace: str, allowed_signers: Path | None) -> str | None:
    """Who signed; None if the signature does not fit, or is by nobody in `allowed_signers`.

    Parameters
    ----------
    content
        What was signed.
    signature
        In OpenSSH's armoured format.
    namespace
        What it was signed for, as `RELEASE`.
    allowed_signers
        Names and keys in OpenSSH's format, see ssh-keygen(1). Without it only that the signature fits is known, and
        the answer says so.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "signature"
        file.write_bytes(signature)
        if allowed_signers is None:
            fits = _ssh_keygen(["-Y", "check-novalidate", "-n", namespace, "-s", str(file)], content)
            return None if fits is None else "somebody (give --allowed-signers FILE to check who)"
        find = ["-Y", "find-principals", "-s", str(file), "-f", str(allowed_signers)]
        for who in (_ssh_keygen(find, b"") or "").splitlines():
            verify = ["-Y", "verify", "-f", str(allowed_signers), "-I", who, "-n", namespace, "-s", str(file)]
            if _ssh_keygen(verify, content) is not None:
                return who
    return None


def _ssh_keygen(arguments: list[str], text: bytes) -> str | None:
    done = run_tool("ssh-keygen", *arguments, text=text)
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
