"""ssh-keygen: whether it signs and verifies, and whether the key that releases are signed with does."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from voxledger.doctor.check import Check, Finding, note, ok, wrong
from voxledger.errors import VoxledgerError
from voxledger.repository import git, run_tool
from voxledger.signing import RELEASE, sign, signer
from voxledger.textfile import replace_text


def look() -> Iterator[Finding]:
    """A key made for this signs and is verified; then git's own key, with the file of trusted keys that git has."""
    with tempfile.TemporaryDirectory() as folder:
        yield _signs(Path(folder))
        yield _own_key(Path(folder))


def _signs(folder: Path) -> Finding:
    made = run_tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "doctor", "-f", folder / "key")
    if made.returncode == 0:
        try:
            content, signature = _signature(folder, str(folder / "key"))
        except VoxledgerError as error:
            return wrong(error.problem, "install OpenSSH's client, 8.9 or newer")
        trusted = folder / "trusted"
        replace_text(trusted, f"doctor {(folder / 'key.pub').read_text()}")
        if signer(content, signature, RELEASE, trusted, datetime.now(UTC)).name == "doctor":
            return ok("signs, and verifies at a given time")
    return wrong("does not sign and verify", "install OpenSSH's client, 8.9 or newer")


def _own_key(folder: Path) -> Finding:
    key = git("config", "user.signingkey", check=False).strip()
    if not key or git("config", "gpg.format", check=False).strip() != "ssh":
        return note(
            "git has no ssh key to sign with: releases are closed unsigned",
            "`git config gpg.format ssh` and `git config user.signingkey ~/.ssh/id_ed25519`",
        )
    path = Path(key).expanduser()
    if not path.is_file():
        return wrong(f"git's key {key} is not here: no round can be closed", "`git config user.signingkey KEY`")
    # Asked for a passphrase it does not have, ssh-keygen would wait at the terminal.
    if run_tool("ssh-keygen", "-y", "-P", "", "-f", path).returncode != 0 and not _in_agent(path):
        return note(
            f"git's key {key} has a passphrase, and no agent holds it", f"`ssh-add {key}` before a round closes"
        )
    content, signature = _signature(folder, str(path))
    trusted = git("config", "gpg.ssh.allowedSignersFile", check=False).strip()
    if not trusted:
        return ok(f"git's key {key} signs releases")
    found = signer(content, signature, RELEASE, Path(trusted).expanduser(), datetime.now(UTC))
    if found.name is None:
        why = found.why or "is nobody's there"
        return wrong(
            f"git's key {key} is not trusted by {trusted}: {why}",
            f"sign with another key, or correct its line in {trusted} (valid-before, namespaces)",
        )
    return ok(f"git's key {key} signs releases as {found.name}")


def _signature(folder: Path, key: str) -> tuple[bytes, bytes]:
    file = folder / "content"
    file.write_bytes(b"doctor\n")
    sign(file, key, RELEASE)
    return file.read_bytes(), file.with_name(f"{file.name}.sig").read_bytes()


def _in_agent(key: Path) -> bool:
    public = key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
    parts = public.read_text("utf-8", "replace").split() if public.is_file() else []
    return len(parts) > 1 and parts[1].encode() in run_tool("ssh-add", "-L").stdout


CHECK = Check(look)
