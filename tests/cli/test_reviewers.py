"""`voxledger review sign` and `review reviewers` as people type them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from voxledger.cli.main import cli
from voxledger.init import init

A = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAatRIfimbn1uQFK2E7Wl2GenbNuKYCafbqR66A/zd31"
PRINT = "SHA256:B7WvQgp9D7bx4Hq9D/KHvFonmJ2/jAi8l3yDHZwL5zg"
B, C = A.replace("zd31", "zd32"), A.replace("zd31", "zd33")


def call(*args: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["review", *args])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new") / "atlas"
    init(folder, "atlas")
    return folder


def test_keys_are_listed_with_what_they_are_worth_today(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    unknown = ["reader-1: nothing is known of them", "  no key: cannot sign"]
    assert call("reviewers").output.splitlines() == unknown
    assert call("reviewers", "--allowed-signers").output == ""
    Path("reviewers.yaml").write_text(
        "reviewers:\n"
        "  alice:\n    affiliation: Example Hospital\n    qualification: radiologist, 12 years\n    keys:\n"
        f"      - {{key: {A}, until: 2020-12-31}}\n"
        f"      - {{key: {B}, from: 2020-01-01, revoked: 2021-02-03, reason: laptop stolen}}\n"
        f"      - {{key: {C}, from: 2021-02-04}}\n"
        "  bob:\n"
    )
    lines = call("reviewers").output.splitlines()
    assert lines[:2] == ["alice: Example Hospital, radiologist, 12 years", f"  {PRINT} expired after 2020-12-31"]
    assert lines[2].endswith(" revoked from 2021-02-03 on: laptop stolen")
    assert lines[3].endswith(" valid")
    assert lines[4:] == ["bob: nothing is known of them", "  no key: cannot sign", *unknown]
    found = json.loads(call("reviewers", "--json").output)
    assert [key["state"] for key in found["alice"]["keys"]] == ["expired", "revoked", "valid"]
    assert found["alice"]["keys"][0] == {
        "fingerprint": PRINT, "state": "expired", "key": A,
        "from": None, "until": "2020-12-31", "revoked": None, "reason": "",
    }  # fmt: skip
    assert found["bob"] == {"affiliation": "", "qualification": "", "keys": []}
    assert call("reviewers", "--allowed-signers").output.splitlines() == [
        f'alice namespaces="voxledger-review",valid-before="20210101Z" {A}',
        f'alice namespaces="voxledger-review",valid-after="20200101Z",valid-before="20210203Z" {B}',
        f'alice namespaces="voxledger-review",valid-after="20210204Z" {C}',
    ]
    assert "two forms of one list" in call("reviewers", "--json", "--allowed-signers", code=2).output


def test_a_reviewer_signs_without_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key"], check=True)
    Path("bundle/labels").mkdir(parents=True)
    for name in ("bundle.json", "decisions.csv", "labels/a.nii.gz"):
        Path("bundle", name).write_text(name)
    assert call("sign", "bundle", "--key", "key").output == "bundle: 3 files signed; send it back as it is now\n"
    assert call("sign", "bundle", "--key", "none", code=2).output
    done = subprocess.run(
        ["ssh-keygen", "-Y", "check-novalidate", "-n", "voxledger-review", "-s", "bundle/return.sha256.sig"],
        input=Path("bundle/return.sha256").read_bytes(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
