"""A small repository with two signed versions, made with the real git, DVC and ssh-keygen."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from commands import run
from ruamel.yaml import YAML

from voxledger.imaging.volume import Grid, file_sha256, mask_sha256, write
from voxledger.records.card import FORMAT, ModelCard, to_json, write_card
from voxledger.records.cases import Case, Split, read_cases, write_cases
from voxledger.records.formats import numbered
from voxledger.records.history import write_history
from voxledger.records.ledger import Entry, Ledger, Origin, write_ledger
from voxledger.records.readings import write_readings
from voxledger.release.inbox import track_inbox
from voxledger.release.send import send_out
from voxledger.schema import LabelSchema, read_schema

GRID = Grid.plain((6, 8, 10), (3.0, 1.5, 1.5))
LABELS = "name: one\nclasses:\n  - {id: 1, name: organ}\n  - {id: 2, name: lesion, inside: organ, lesion: true}\n"


@dataclass(frozen=True)
class Released:
    """Where the versions lie: the repository that closed them, keys, and a clone of round-01 with its data."""

    root: Path

    @property
    def repository(self) -> Path:
        return self.root / "repo"

    @property
    def clone(self) -> Path:
        return self.root / "clone"

    @property
    def signers(self) -> Path:
        return self.root / "signers"


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    """Rounds 0 and 1 closed and signed; the stages' outputs are written by hand, since what they hold is no matter."""
    root = tmp_path_factory.mktemp("released")
    run("voxledger", "init", str(root / "repo"), "--name", "two")
    make_key(root, "key", "curator")
    shutil.copyfile(root / "key.signers", root / "signers")
    with contextlib.chdir(root / "repo"):
        run("git", "config", "gpg.format", "ssh")
        run("git", "config", "user.signingkey", str(root / "key"))
        run("dvc", "remote", "add", "--quiet", "--default", "store", str(root / "store"))
        Path("labels.yaml").write_text(LABELS)
        _register_cases()
        for number in (0, 1):
            if number:
                run("voxledger", "round", "open")
            _finish_round(number)
            track_inbox()
            run("dvc", "commit", "--force", "--quiet")
            send_out({f"bundle-r{number:02d}-ann": f"{number}" * 64})
            run("voxledger", "round", "close")
    run("git", "clone", "-q", "--depth", "1", "--branch", "round-01", f"file://{root / 'repo'}", str(root / "clone"))
    run("dvc", "pull", "--quiet", cwd=root / "clone")
    return Released(root)


def make_key(root: Path, name: str, who: str) -> None:
    """An ssh key, and the line that trusts it."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / name), "-C", who)
    (root / f"{name}.signers").write_text(f"{who} {(root / f'{name}.pub').read_text()}")


def _register_cases() -> None:
    cases = []
    for n in range(3):
        path = f"data/images/case{n}.nii.gz"
        write(path, np.random.default_rng(n).normal(0, 20, GRID.shape).astype(np.int16), GRID)
        cases.append(Case(f"case{n}", path, file_sha256(path), "", "made", "CC0-1.0", Split.POOL, "CT", ""))
    write_cases("data/cases.csv", cases)
    Path("data/weak/case2.json").write_text("{}\n")
    run("dvc", "add", "--quiet", "data/images", "data/weak")


def _finish_round(number: int) -> None:
    """Every output of the pipeline, labels and ledger of which fit each other."""
    cases, schema = read_cases(), read_schema("labels.yaml")
    _write_labels(cases, schema, number)
    folders = {
        "data/round/pseudo": ["case0.nii.gz", "case2.nii.gz"],
        "data/round/attention": ["case0.b2nd"],
        "data/round/predictions": ["made.json", "m/case0.b2nd"],
        f"data/round/bundles/bundle-r{number:02d}-ann": ["bundle.json", "decisions.csv", "images/case0.nii.gz"],
        f"data/inbox/bundle-r{number:02d}-ann": ["bundle.json", "decisions.csv"],
        "data/release/revisions/abc": ["decisions.csv"],
        "models/next": ["m/weights.safetensors"],
    }
    for folder, names in folders.items():
        for name in names:
            _made(Path(folder, name), number)
    stages = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    for stage in stages.values():
        for out in (o for kind in ("outs", "metrics", "plots") for o in stage.get(kind, [])):
            path = Path(next(iter(out)) if isinstance(out, dict) else out)
            if path.suffix and path not in (Path("data/release/ledger.csv"), Path("data/release/readings.csv")):
                _made(path, number)
    for name in ("data/round/adjudication", "models/attention_next"):
        Path(name).mkdir(exist_ok=True)
    write_readings("data/release/readings.csv", [])
    write_history("reports/history.csv", [])
    for name in ("reports/metrics.json", "reports/readers.json"):
        Path(name).write_text(json.dumps({"round": number}) + "\n")
    _write_card(number)


def _write_card(number: int) -> None:
    """That of the model that the round trained."""
    home = Path("models/next/m")
    card = ModelCard(
        id=file_sha256(home / "weights.safetensors"), name="m", backend="monai", architecture="", strategy="full",
        cohort="", parent="", params={}, licence="CC0-1.0", round=number,
    )  # fmt: skip
    (home / "model.json").unlink(missing_ok=True)
    write_card(home, card)
    Path("models/next.json").write_text(to_json([numbered(card.model_dump(), FORMAT)]))


def _made(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(f"{path.name} of round {number}\n")


def _write_labels(cases: list[Case], schema: LabelSchema, number: int) -> None:
    ledger: Ledger = {}
    for n, case in enumerate(cases):
        labels = np.zeros(GRID.shape, np.uint8)
        labels[1:4, 2 : 5 + number, 3:7] = 1
        labels[2, 3, 4 + n % 2] = 2
        path = Path(f"data/release/labels/{case.case_id}.nii.gz")
        path.unlink(missing_ok=True)
        write(path, labels, GRID)
        for name in schema.names:
            digest = mask_sha256(schema.mask(labels, name), GRID)
            ledger[case.case_id, name] = Entry(
                case.case_id, name, number, Origin.PREDICTED, ("m",), "", "", digest, "", 1.0
            )
    write_ledger("data/release/ledger.csv", ledger, schema.names)
