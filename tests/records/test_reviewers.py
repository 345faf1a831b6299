"""Who reviews, and what a key is worth on which day."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from voxledger.errors import Misuse
from voxledger.records.reviewers import KeyState, ReviewerKey, parse_reviewers, read_reviewers

A = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAatRIfimbn1uQFK2E7Wl2GenbNuKYCafbqR66A/zd31"
A_PRINT = "SHA256:B7WvQgp9D7bx4Hq9D/KHvFonmJ2/jAi8l3yDHZwL5zg"
B = A.replace("zd31", "zd32")


ENDED = {"until": "2025-01-01", "revoked": "2026-01-01", "reason": "lost"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def key(**days: str) -> ReviewerKey:
    return ReviewerKey.model_validate({"key": f"{A} alice@laptop", **days})


@pytest.mark.parametrize(
    ("days", "when", "state"),
    [
        ({}, "1999-01-01T00:00+00:00", KeyState.VALID),
        ({"from": "2026-01-01"}, "2025-12-31T23:59:59+00:00", KeyState.NOT_YET),
        ({"from": "2026-01-01"}, "2026-01-01T00:00:00+00:00", KeyState.VALID),
        ({"from": "2026-01-01"}, "2026-01-01T00:30:00+01:00", KeyState.NOT_YET),
        ({"until": "2026-01-01"}, "2026-01-01T23:59:59+00:00", KeyState.VALID),
        ({"until": "2026-01-01"}, "2026-01-02T00:00:00+00:00", KeyState.EXPIRED),
        ({"revoked": "2026-01-01", "reason": "lost"}, "2025-12-31T23:59:59+00:00", KeyState.VALID),
        ({"revoked": "2026-01-01", "reason": "lost"}, "2026-01-01T00:00:00+00:00", KeyState.REVOKED),
        (
            {"until": "2025-01-01", "revoked": "2026-01-01", "reason": "lost"},
            "2026-05-01T00:00+00:00",
            KeyState.REVOKED,
        ),
        (
            {"until": "2025-01-01", "revoked": "2026-01-01", "reason": "lost"},
            "2025-05-01T00:00+00:00",
            KeyState.EXPIRED,
        ),
    ],
)
def test_days_are_those_of_utc_and_the_first_and_last_count(days: dict[str, str], when: str, state: KeyState) -> None:
    assert key(**days).state(at(when)) is state


def test_a_fingerprint_is_the_one_that_ssh_prints() -> None:
    assert key().fingerprint == A_PRINT
    assert key().key == A


FILE = "reviewers:\n  alice:\n    affiliation: Example Hospital\n    qualification: radiologist\n    keys:\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("reviewers: [alice]\n", "reviewers.yaml: line 1, reviewers: Input should be a valid dictionary"),
        ("people: {}\n", "reviewers.yaml: line 1, people: Extra inputs are not permitted"),
        (f"{FILE}      - key: ssh-ed25519 abc\n", "reviewers.alice.keys.0.key: this is no public key"),
        (f"{FILE}      - key: {A.replace('ssh-ed25519', 'ssh-rsa')}\n", "this is no public key"),
        (f"{FILE}      - key: ''\n", "this is no public key"),
        (f"{FILE}      - key: {A[:-8]}\n", "this is no public key"),
        (f"{FILE}      - key: {A}AAAA\n", "this is no public key"),
        (f"{FILE}      - key: |\n          {A}\n          {B}\n", "this is no public key"),
        (
            f"{FILE}      - key: '-----BEGIN OPENSSH PRIVATE KEY-----'\n",
            "this is a private key: take it out, make a new",
        ),
        (f"{FILE}      - {{key: {A}, until: soon}}\n", "reviewers.alice.keys.0.until: "),
        (
            f"{FILE}      - {{key: {A}, from: 2026-02-01, until: 2026-01-01}}\n",
            "until 2026-01-01 is before from 2026-02-01",
        ),
        (f"{FILE}      - {{key: {A}, from: 0206-02-01}}\n", "0206-02-01 is before all days that `ssh-keygen` knows"),
        (f"{FILE}      - {{key: {A}, until: 1970-01-01}}\n", "1970-01-01 is before all days that `ssh-keygen` knows"),
        (f"{FILE}      - {{key: {A}, revoked: 2026-02-01}}\n", "`revoked` (a day) and `reason` belong together"),
        (f"{FILE}      - {{key: {A}, reason: lost}}\n", "`revoked` (a day) and `reason` belong together"),
        (f"{FILE}      - {{key: {A}, revoked: yes, reason: lost}}\n", "reviewers.alice.keys.0.revoked: "),
        (f"{FILE}      - key: {A}\n      - key: {A}\n", f"the key {A_PRINT} of alice stands there as alice's already"),
        (f"{FILE}      - key: {A}\n  bob: {{keys: [{{key: {A}}}]}}\n", "of bob stands there as alice's already"),
        ("reviewers: {alice: {}, Alice: {}}\n", "differ by capitals alone"),
        ("reviewers: {a/../b: {}}\n", "cannot be part of a file name"),
        ("reviewers:\n  ann:\n  ann+ben:\n", "reviewers.yaml, line 3: reviewer 'ann+ben' cannot be part"),
        ("reviewers:\n  ann:\n  bob:\n  Ann:\n", "reviewers.yaml, line 4: reviewers ann and Ann differ by capitals"),
        (f"{FILE}      - key: {A}\n        until: soon\n", "line 7, reviewers.alice.keys.0.until: "),
        (f"{FILE}      - key: {A}\n      - key: {B}\n      - key: {A}\n", "reviewers.yaml, line 8: the key"),
        ("reviewers: {alice: {age: 40}}\n", "reviewers.alice.age: Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(Misuse) as caught:
        parse_reviewers(text, "reviewers.yaml")
    assert said in caught.value.problem


@pytest.mark.parametrize(
    "text", ["reviewers: {a: 1, a: 2}\n", "reviewers: {\n", "- alice\n", "reviewers: " + "[" * 5000]
)
def test_what_is_no_yaml_of_named_values_is_named(text: str) -> None:
    with pytest.raises(Misuse, match=r"reviewers\.yaml cannot be read") as caught:
        parse_reviewers(text, "reviewers.yaml")
    assert caught.value.remedy == ("correct the entry, and let every name stand there once: docs/curators.md shows one")


def test_a_name_that_is_there_twice_is_named_with_its_line() -> None:
    with pytest.raises(Misuse, match=r'it is not YAML: line 4: found duplicate key "ann"\n'):
        parse_reviewers("reviewers:\n  ann: {affiliation: a}\n  bob:\n  ann: {affiliation: b}\n", "reviewers.yaml")


@pytest.mark.parametrize("text", ["", "reviewers:\n", "reviewers: {}\n", "# nobody yet\n"])
def test_nobody_may_be_listed(folder: Path, text: str) -> None:
    assert read_reviewers() == {}
    Path("reviewers.yaml").write_text(text)
    assert read_reviewers() == {}


def test_a_reviewer_without_a_key_is_one() -> None:
    found = parse_reviewers(
        f"reviewers:\n  bob:\n  alice: {{affiliation: A, keys: [{{key: {A}}}]}}\n", "reviewers.yaml"
    )
    assert (found["bob"].keys, found["bob"].told, found["alice"].told) == ((), "", "A")
    assert found["alice"].key(A_PRINT) is not None
    assert found["bob"].key(A_PRINT) is None


@pytest.mark.parametrize(
    "days",
    [
        {},
        {"from": "2026-03-01"},
        {"until": "2026-03-01"},
        {"revoked": "2026-03-01", "reason": "lost"},
        {"from": "2026-02-01", "until": "2026-03-01"},
        {"until": "2026-03-01", "revoked": "2026-02-15", "reason": "lost"},
    ],
)
def test_ssh_keygen_says_the_same_of_what_is_exported(tmp_path: Path, days: dict[str, str]) -> None:
    """On every side of every border, in whatever time zone it runs."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs OpenSSH's client")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "k")], check=True)
    (tmp_path / "f").write_text("content\n")
    sign = ["ssh-keygen", "-Y", "sign", "-f", str(tmp_path / "k"), "-n", "voxledger-review", str(tmp_path / "f")]
    subprocess.run(sign, check=True, capture_output=True)
    own = ReviewerKey.model_validate({"key": (tmp_path / "k.pub").read_text(), **days})
    (tmp_path / "signers").write_text(own.allowed_signer("alice") + "\n")
    borders = [at(f"{day}T00:00:00+00:00") for name, day in days.items() if name != "reason"]
    for border in borders or [at("2026-03-01T00:00:00+00:00")]:
        for shift in (-2, 2, 86400 - 2, 86400 + 2):
            when = (border + timedelta(seconds=shift)).astimezone(timezone(timedelta(hours=9)))
            command = ["ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "signers"), "-I", "alice"]
            command += ["-n", "voxledger-review", "-s", str(tmp_path / "f.sig")]
            command += ["-O", f"verify-time={when.astimezone(UTC):%Y%m%d%H%M%S}Z"]
            done = subprocess.run(
                command, input=b"content\n", capture_output=True, env={"TZ": "Asia/Tokyo", "PATH": "/usr/bin:/bin"}
            )
            assert (done.returncode == 0) is (own.state(when) is KeyState.VALID), (days, when, done.stderr)


def test_who_that_is_stands_on_one_line() -> None:
    text = f'reviewers: {{alice: {{affiliation: "A\\n\\nbob:\\e[31m trusted", keys: [{{key: {A}}}]}}}}\n'
    assert parse_reviewers(text, "reviewers.yaml")["alice"].told == "A bob:[31m trusted"


def test_a_key_may_be_valid_for_ever() -> None:
    key = ReviewerKey.model_validate({"key": A, "until": "9999-12-31"})
    assert key.state(at("9999-12-31T23:00:00+00:00")) is KeyState.VALID
    assert key.allowed_signer("alice") == f'alice namespaces="voxledger-review" {A}'
