"""Full training, then heads of what people revised, through the real git, DVC and command line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run

from voxledger import layout
from voxledger.imaging.soft import open_soft
from voxledger.imaging.volume import Grid, write
from voxledger.models.dataset import heads
from voxledger.records.card import DATASET, HEAD_WEIGHTS, load_tensors, read_card
from voxledger.records.ledger import Origin, read_ledger
from voxledger.textfile import read_json

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

GRID = Grid((12, 20, 24), (3.0, 1.5, 1.5), (5.0, -40.0, 12.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
LABELS = "name: three\nclasses:\n  - {id: 1, name: organ}\n  - {id: 2, name: lesion, inside: organ, lesion: true}\n"
LABELS += "  - {id: 3, name: spleen}\n"
UNET = {"backend": "monai", "network": "unet", "patch": [8, 16, 16], "features": [8, 16, 32], "iterations": 100}


def reference(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    labels = np.zeros(GRID.shape, np.uint8)
    shift = int(rng.integers(0, 3))
    labels[2:9, 3 + shift : 13 + shift, 3:12] = 1
    labels[4:7, 6 + shift : 10 + shift, 5:9] = 2
    labels[3:10, 5:15, 15:21] = 3
    return labels


def half(labels: np.ndarray) -> np.ndarray:
    wrong = labels.copy()
    wrong[:6][wrong[:6] == 3] = 0
    return wrong


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Labels show half of the spleen; a reader corrects it in two cases of round 1; what that taught predicts in 2."""
    root = tmp_path_factory.mktemp("continual")
    for n in range(8):
        labels = reference(n)
        noise = np.random.default_rng(n).normal(0, 5, GRID.shape)
        write(root / f"images/c{n}.nii.gz", (np.array([-80, 60, 20, 120])[labels] + noise).astype(np.int16), GRID)
        write(root / f"reference/c{n}.nii.gz", labels, GRID)
        if n < 5:
            write(root / f"labels/c{n}.nii.gz", half(labels), GRID)
    before = Path.cwd()
    run("voxledger", "init", str(root / "repo"), "--name", "three")
    os.chdir(root / "repo")
    Path("labels.yaml").write_text(LABELS)
    parameters(
        score={"budget": 2, "audit": 0},
        export={"reviewers": ["ann"]},
        filter={"rules": []},
        cases={"calibration": 0, "test": 0.2},
        retrain={"models": {"unet": UNET}},
    )
    run("dvc", "remote", "add", "--default", "store", str(root / "store"))
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / "key"), "-C", "curator")
    (root / "signers").write_text(f"curator {(root / 'key.pub').read_text()}")
    for name, value in (("gpg.format", "ssh"), ("user.signingkey", str(root / "key"))):
        run("git", "config", name, value)
    run("git", "commit", "--quiet", "--all", "--message", "Three classes")
    run("voxledger", "cases", "add", str(root / "images"), "--labels", str(root / "labels"), "--source", "made")
    run("voxledger", "round", "run")
    run("voxledger", "round", "close")
    run("voxledger", "round", "open")
    again = {"replay": 0.5, "replay_by": "importance"}
    parameters(retrain={"strategy": "continual", "continual_iterations": 1.0, **again, "models": {"unet": UNET}})
    run("voxledger", "round", "run", accept=(3,))
    run("voxledger", "review", "emulate", "--reference", str(root / "reference"))
    run("voxledger", "round", "run")
    run("voxledger", "round", "close")
    run("voxledger", "round", "open")
    run("dvc", "repro", "infer")
    yield root / "repo"
    os.chdir(before)


def test_the_head_of_the_revised_class_is_new_and_nothing_else(played: Path) -> None:
    ledger = read_ledger(layout.BASE_LEDGER)
    revised = {name for (_, name), e in ledger.items() if e.origin is Origin.REVISED}
    cards = {c["round"]: c for c in json.loads(layout.BASE_CARDS.read_text("utf-8"))}
    home = layout.BASE_MODELS / "unet"
    card = read_card(home)
    assert (card.strategy, card.parent, card.round) == ("continual", cards[0]["id"], 1)
    assert set(heads(read_json(home / DATASET))) == revised >= {"spleen"}
    assert card.taught_by["spleen"]["people"] >= 2
    run("git", "worktree", "add", "--quiet", "../first", "round-00")
    run("dvc", "pull", "models/next", cwd=played / "../first")
    before = load_tensors(played / "../first/models/next/unet")
    after = load_tensors(home)
    assert {name for name in after if not name.startswith(HEAD_WEIGHTS)} == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_the_next_round_predicts_with_the_head(played: Path) -> None:
    (test,) = [row for row in Path(layout.CASES).read_text().splitlines() if ",test," in row][:1]
    case_id = test.split(",")[0]
    found = open_soft(layout.PREDICTIONS / "unet" / f"{case_id}.b2nd")
    assert found.model_id == read_card(layout.BASE_MODELS / "unet").id
    true = reference(int(case_id[1:])) == 3
    mask = found.probabilities("spleen") > 0.5
    assert 2 * (mask & true).sum() / (mask.sum() + true.sum()) > 0.85  # half of it: 0.6


def test_the_closed_round_is_verified_and_traced(played: Path) -> None:
    run("git", "clone", "-q", "--depth", "1", "--branch", "round-01", f"file://{played}", str(played / "../check"))
    run("dvc", "pull", cwd=played / "../check")
    signers = str(played / "../signers")
    verdict = json.loads(
        output("voxledger", "verify", "round-01", "--allowed-signers", signers, "--json", cwd=played / "../check")
    )
    assert verdict["intact"]
    chain = json.loads(output("voxledger", "trace", "c5", "--at", "round-01", "--json"))
    assert {entry["origin"] for entry in chain["classes"]} <= {"revised", "accepted", "predicted"}
    assert "| strategy | continual |" in output("voxledger", "models", "show", "unet")
    assert "spleen: 4 by people" in output("voxledger", "models", "show", "unet")
