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
        ("retrain: {models: {m: {backend: nnunet, loss: dice_focal}}}\n", r"models\.m: .*nnU-Net decides loss itself"),
        ("retrain: {replay_by: diversity}\n", r"retrain\.replay_by: .*diversity looks at images anew"),
        ("retrain: {replay_by: expected_gain}\n", r"retrain\.replay_by: .*predicted quality"),
        ("score: {acquisition: expected_gain}\n", r"score: .*acquisition: expected_gain goes by predicted quality"),
        ("score: {stop_error_ml: 3}\n", r"score: .*stop_error_ml goes by predicted quality: say `quality: true`"),
        ("score: {quality: true, stop_dice: 1.5}\n", r"score\.stop_dice"),
        ("retrain: {models: {m: {backend: nnunet, recipe: big}}}\n", r"models\.m: .*use one of nnunet, small"),
        ("retrain: {models: {m: {backend: monai, network: unet, recipe: small}}}\n", r"models\.m: .*it has none"),
        (
            "retrain: {models: {m: {backend: nnunet, recipe: nnunet, iterations: 9}}}\n",
            r"models\.m: .*nnU-Net decides iterations itself: give `epochs` alone, or say `recipe: small`",
        ),
        ("retrain: {models: {m: {backend: nnunet, recipe: small, epochs: 9}}}\n", r"models\.m: .*give `iterations`"),
        ("retrain: {models: {m: {backend: monai, network: unet, epochs: 9}}}\n", r"models\.m: .*give `iterations`"),
        (
            "retrain: {models: {m: {backend: nnunet, iterations: 9, network: nnUNetResEncUNetMPlans}}}\n",
            r"models\.m: .*is of `recipe: nnunet`",
        ),
        ("retrain: {models: {m: {backend: nnunet, network: nnUNetResEncPlans}}}\n", r"models\.m: .*is no network"),
        ("retrain: {models: {m: {backend: clicks, network: segresnet}}}\n", r"models\.m: .*use one of unet, plans"),
        ("retrain: {models: {m: {backend: nnunet, loss: focal}}}\n", r"models\.m\.loss"),
        ("retrain: {models: {m: {backend: monai, network: unet, region: {margin_mm: 3}}}}\n", r"m\.region\.inside"),
        ("retrain: {models: {m: {backend: monai, network: unet, lesion_share: 2}}}\n", r"m\.lesion_share"),
        ("retrain: {models: {m: {backend: monai, network: unet, patch: [64, 64, 0]}}}\n", r"m\.patch\.2"),
        ("retrain: {models: {m: {backend: monai, network: unet, features: []}}}\n", r"m\.features"),
        ("retrain: {models: {m: {backend: monai, network: unet, features: [8, 0]}}}\n", r"m\.features\.1"),
        ("retrain: {models: {m: {backend: monai, network: unet, spacing: [-2, 1, 1]}}}\n", r"m\.spacing\.0"),
        ("retrain: {models: {m: {backend: monai, network: unet, classes: []}}}\n", r"m\.classes"),
        (
            "retrain: {models: {m: {backend: monai, network: unet, region: {inside: liver, margin_mm: .inf}}}}\n",
            r"m\.region\.margin_mm: .*finite",
        ),
        ("retrain: {finetune_iterations: .inf}\n", r"retrain\.finetune_iterations: .*finite"),
        ("filter: {thresholds: {pdac: 5}}\n", r"filter\.thresholds\.pdac: .*less than or equal to 1"),
        ("filter: {thresholds: {pdac: .nan}}\n", r"filter\.thresholds\.pdac"),
        ("export: {reviewers: [a], readers: 2}\n", "readers: 2 people cannot read a case, 1 can"),
        ("export: {reviewers: [a, a], readers: 2}\n", "readers: 2 people cannot read a case, 1 can"),
        ("export: {reviewers: [a, b], readers: 0}\n", r"readers\.count"),
        ("export: {reviewers: [a, b], readers: true}\n", r"export\.readers"),
        ("export: {reviewers: [a, b], readers: {count: 2, share: 20}}\n", r"readers\.share"),
        ("review: {consensus: majorty}\n", "did you mean majority"),
        ("review: {agreement: 90}\n", r"review\.agreement"),
        ("export: {reviewers: [a, b], readers: 2}\nreview: {consensus: adjudicate}\n", "name who settles"),
        (
            "export: {reviewers: [Ann, b], readers: 2}\nreview: {consensus: adjudicate, adjudicator: ann}\n",
            "ann reads cases in this round",
        ),
        ("export: {reviewers: [ann, ben, ann+ben]}\n", r"export\.reviewers: reviewer 'ann\+ben' cannot be part"),
        ("export: {reviewers: [ann, Ann]}\n", "reviewers ann and Ann differ by capitals alone"),
        ("review: {adjudicator: ../x}\n", r"review\.adjudicator: reviewer '../x' cannot be part of a file name"),
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


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("round: 1\n", 43),
        ("score: {scratch_minutes: 20}\n", 20),
        # As `voxledger init` wrote it before: the evaluate stage's own.
        ("evaluate: {scratch_minutes: 15, tolerance_mm: 1}\n", 15),
        ("score:\nevaluate: {scratch_minutes: 15}\n", 15),
        ("score: {scratch_minutes: 15, budget: 3}\nevaluate: {scratch_minutes: 15.0}\n", 15),
    ],
)
def test_minutes_from_scratch_are_one_number_wherever_an_older_file_has_it(
    tmp_path: Path, text: str, minutes: float
) -> None:
    """The worklist counted 43 minutes for a case while the report counted another number for the same case."""
    path = tmp_path / "params.yaml"
    path.write_text(text)
    params = read_params(path)
    assert params.score.scratch_minutes == minutes
    assert "scratch_minutes" not in params.evaluate.model_dump()


def test_two_different_minutes_from_scratch_are_refused_with_the_one_to_remove(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("score: {scratch_minutes: 43}\nevaluate: {scratch_minutes: 15}\n")
    with pytest.raises(Misuse, match=r"score.scratch_minutes is 43 and evaluate.scratch_minutes is 15") as refused:
        read_params(path)
    assert "remove evaluate.scratch_minutes" in refused.value.remedy


@pytest.mark.parametrize(
    ("entry", "recipe", "iterations"),
    [
        ("{backend: nnunet}", "nnunet", 250_000),
        ("{backend: nnunet, epochs: 4}", "nnunet", 1000),
        ("{backend: nnunet, network: plans, iterations: 50000}", "small", 50_000),
        ("{backend: nnunet, patch: [8, 8, 8]}", "small", 240),
        ("{backend: nnunet, recipe: small}", "small", 240),
        ("{backend: monai, network: unet}", "", 240),
        ("{backend: clicks, patch: [8, 8, 8], iterations: 50}", "", 50),
    ],
)
def test_an_older_entry_of_nnunet_goes_on_meaning_the_small_recipe(
    tmp_path: Path, entry: str, recipe: str, iterations: int
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"retrain: {{models: {{m: {entry}}}}}\n")
    model = read_params(path).retrain.models["m"]
    assert (model.recipe, model.budget()) == (recipe, iterations)


def test_readers_are_a_number_or_a_number_of_a_share(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("export: {reviewers: [a, b], readers: 2}\n")
    readers = read_params(path).export.readers
    assert (readers.count, readers.share) == (2, 1.0)
    path.write_text("export: {reviewers: [a, b], readers: {count: 2, share: 0.2}}\n")
    readers = read_params(path).export.readers
    assert (readers.count, readers.share) == (2, 0.2)
    assert not read_params(path).adjudicated
    path.write_text("review: {consensus: adjudicate}\n")
    assert not read_params(path).adjudicated, "nobody reads what another one does"
