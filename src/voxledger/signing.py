"""Signatures with ssh keys: sign a file, and find out who signed one."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from voxledger.disk import naming
from voxledger.errors import VoxledgerError
from voxledger.repository import run_tool

RELEASE = "voxledger-release"
"""Namespace of releases: keeps a key that signs reviews, or anything else, from signing a release."""
REVIEW = "voxledger-review"
"""Namespace of what reviewers send back."""
WITHDRAWAL = "voxledger-withdrawal"
"""Namespace of lists of what was removed: whoever may release may not yet say that something need not be there."""
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
    # By way of its input: of a file that has a signature, `ssh-keygen` keeps that one, and says that all went well.
    done = run_tool("ssh-keygen", "-Y", "sign", "-f", key, "-n", namespace, text=path.read_bytes())
    if done.returncode != 0:
        raise VoxledgerError(
            f"{path} could not be signed with {key}: {done.stderr.decode(errors='replace').strip()}",
            "give an ssh key that is here (git's is `git config user.signingkey`); one with a passphrase needs a "
            "terminal, or a running ssh-agent",
        )
    target = path.with_name(f"{path.name}.sig")
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    with naming(target):
        try:
            partial.write_bytes(done.stdout)
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)


@dataclass(frozen=True)
class Signer:
    """Who signed, or why that is not known."""

    name: str | None
    """None if the signature does not fit, or is by nobody who is trusted."""
    why: str = ""
    """What `ssh-keygen` says of a trusted key that was not valid at the time, such as `key has expired: …`."""


def signer(
    content: bytes,
    signature: bytes,
    namespace: str,
    allowed_signers: Path | None,
    at: datetime | None = None,
    name: str | None = None,
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
    name
        Whose signature it has to be; None stands for anybody's whom the file trusts.
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
        why, header = "", read_header(signature)
        trusted = principals(allowed_signers, header) if header is not None else []
        for who in [name] if name is not None else trusted:
            done = _ssh_keygen(["-Y", "verify", "-f", str(allowed_signers), "-I", who, *given, *time], content)
            if done.returncode == 0:
                return Signer(who)
            if said := re.search(r"key (has expired|is not yet valid)[^\r\n]*", done.stderr.decode("utf-8", "replace")):
                why = f"{who}: {said[0]}"
    return Signer(None, why)


def principals(allowed_signers: Path, header: Header) -> list[str]:
    """Everybody whom a file trusts with the key of a signature, or with what an authority signs, in its order.

    Not those of `ssh-keygen -Y find-principals`, which looks at the first line that has the key, and at no other.
    """
    found: dict[str, None] = {}
    for line in allowed_signers.read_text("utf-8", "replace").splitlines():
        parts = re.match(r'\s*(?:"([^"]*)"|([^\s"#]\S*))\s+(.*)', line)
        if parts and (header.key in parts[3].split() or "cert-authority" in parts[3].lower()):
            found |= dict.fromkeys(
                name for name in (parts[1] or parts[2] or "").split(",") if name[:1] not in ("", "!")
            )
    return list(found)


@dataclass(frozen=True)
class Header:
    """What a signature says of itself; whether it fits what was signed is another question."""

    key: str
    """The public key that it is by, as lists of keys write it, without its type."""
    namespace: str

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.key)


def trusts_for(allowed_signers: Path, namespace: str) -> bool:
    """Whether a file of trusted keys has one that may sign for this purpose."""
    for line in allowed_signers.read_text("utf-8", "replace").splitlines():
        named = re.search(r'namespaces="([^"]*)"', line)
        patterns = named[1].split(",") if named is not None else ["*"]
        written = line.strip() and not line.lstrip().startswith("#")
        if written and any(fnmatchcase(namespace, pattern) for pattern in patterns):
            return True
    return False


def read_header(signature: bytes) -> Header | None:
    """What a signature in OpenSSH's armoured format says of itself; None where it is none.

    PROTOCOL.sshsig of OpenSSH has the format.
    """
    lines = signature.decode("ascii", "replace").split("-----BEGIN SSH SIGNATURE-----")[-1].partition("-----END")[0]
    try:
        content = base64.b64decode("".join(lines.split()))
        magic, _, size = struct.unpack(">6sII", content[:14])
        (length,) = struct.unpack(">I", content[14 + size : 18 + size])
        if magic != b"SSHSIG" or len(content) < 18 + size + length:
            return None
        return Header(
            base64.b64encode(content[14 : 14 + size]).decode(), content[18 + size : 18 + size + length].decode()
        )
    except (ValueError, struct.error):
        return None


def fingerprint(key: str) -> str:
    """The name of a public key, as `ssh-keygen -l` prints it: `SHA256:` and 43 characters.

    Examples
    --------
    >>> fingerprint("AAAAC3NzaC1lZDI1NTE5AAAAIAatRIfimbn1uQFK2E7Wl2GenbNuKYCafbqR66A/zd31")
    'SHA256:B7WvQgp9D7bx4Hq9D/KHvFonmJ2/jAi8l3yDHZwL5zg'
    """
    digest = hashlib.sha256(base64.b64decode(key)).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def fits(content: bytes, signature: bytes, namespace: str) -> bool:
    """Whether a signature was made of this content, for this purpose; by whom is another question."""
    return signer(content, signature, namespace, None).name is not None


def signed_by(content: bytes, signature: bytes, namespace: str, key: str) -> bool:
    """Whether a signature was made of this content, for this purpose, with the key of a file."""
    header = read_header(signature)
    shown = _ssh_keygen(["-y", "-f", key], b"") if not key.endswith(".pub") else None
    public = Path(key).read_bytes() if shown is None else shown.stdout
    mine = public.decode("ascii", "replace").split()[1:2]
    return header is not None and [header.key] == mine and fits(content, signature, namespace)


def _ssh_keygen(arguments: list[str], text: bytes) -> subprocess.CompletedProcess[bytes]:
    return run_tool("ssh-keygen", *arguments, text=text)
