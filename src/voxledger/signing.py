"""Signatures with ssh keys: sign a file, and find out who signed one."""

from __future__ import annotations

import base64
import re
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import datetime
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


@dataclass(frozen=True)
class Signer:
    """Who signed, or why that is not known."""

    name: str | None
    """None if the signature does not fit, or is by nobody who is trusted."""
    why: str = ""
    """What `ssh-keygen` says of a trusted key that was not valid at the time, such as `key has expired: …`."""


def signer(
    content: bytes, signature: bytes, namespace: str, allowed_signers: Path | None, at: datetime | None = None
) -> Signer:
    """Who signed.

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
    at
        When it was signed: the key has to be valid then (`valid-after`, `valid-before`), as git asks of tags; None
        stands for now.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "signature"
        file.write_bytes(signature)
        given = ["-n", namespace, "-s", str(file)]
        if allowed_signers is None:
            fits = _ssh_keygen(["-Y", "check-novalidate", *given], content).returncode == 0
            return Signer("somebody (give --allowed-signers FILE to check who)" if fits else None)
        # In local time, as dates in the file are; older versions know no other.
        time = [] if at is None else ["-O", f"verify-time={at.astimezone():%Y%m%d%H%M%S}"]
        why = ""
        for who in _principals(allowed_signers, signature):
            done = _ssh_keygen(["-Y", "verify", "-f", str(allowed_signers), "-I", who, *given, *time], content)
            if done.returncode == 0:
                return Signer(who)
            if said := re.search(r"key (has expired|is not yet valid).*", done.stderr.decode("utf-8", "replace")):
                why = f"{who}: {said[0]}"
    return Signer(None, why)


def _principals(allowed_signers: Path, signature: bytes) -> list[str]:
    """Everybody whom a file trusts with the key of a signature, or with what an authority signs, in its order.

    Not those of `ssh-keygen -Y find-principals`, which looks at the first line that has the key, and at no other.
    """
    lines = signature.decode("ascii", "replace").split("-----BEGIN SSH SIGNATURE-----")[-1].partition("-----END")[0]
    try:
        key = _public_key(base64.b64decode("".join(lines.split())))
    except (ValueError, struct.error):
        return []
    found: dict[str, None] = {}
    for line in allowed_signers.read_text("utf-8", "replace").splitlines():
        parts = re.match(r'\s*(?:"([^"]*)"|([^\s"#]\S*))\s+(.*)', line)
        if parts and (key in parts[3].split() or "cert-authority" in parts[3].lower()):
            found |= dict.fromkeys(
                name for name in (parts[1] or parts[2] or "").split(",") if name[:1] not in ("", "!")
            )
    return list(found)


def _public_key(signature: bytes) -> str:
    """The public key within a signature, as lists of keys write it; PROTOCOL.sshsig of OpenSSH has the format."""
    magic, _, size = struct.unpack(">6sII", signature[:14])
    if magic != b"SSHSIG":
        raise ValueError("no ssh signature")
    return base64.b64encode(signature[14 : 14 + size]).decode()


def _ssh_keygen(arguments: list[str], text: bytes) -> subprocess.CompletedProcess[bytes]:
    return run_tool("ssh-keygen", *arguments, text=text)
