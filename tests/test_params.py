from __future__ import annotations

from pathlib import Path

import pytest

from voxledger.errors import Misuse
from voxledger.params import read_params


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "does not hold parameters"),
        ("- a\n", "does not hold parameters"),
        ("machine: 3\n", "machine has no parameters"),
        ("score: {budgte: 3}\n", "score.budgte"),
        ("score: {budget: -1}\n", "score.budget"),
        ("round: one\n", "round"),
        ("dataset: 'Not a name'\n", "dataset"),
        ("a: [", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(Misuse, match=said):
        read_params(path)


def test_the_environment_says_how_to_compute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("dataset: a\nround: 3\nmachine: {device: cpu, workers: 1}\n")
    monkeypatch.setenv("VOXLEDGER_DEVICE", "cuda")
    monkeypatch.setenv("VOXLEDGER_WORKERS", "7")
    params = read_params(path)
    assert (params.machine.device, params.machine.worker_count, params.round) == ("cuda", 7, 3)
