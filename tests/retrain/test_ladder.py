"""Heads first, then a decoder, then adapters: what is tried, what is kept, and that nothing done is done again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_cases import GRID, SCHEMA, Small, draw

from voxledger import layout
from voxledger.errors import CasesFailed, VoxledgerError
from voxledger.imaging.volume import file_sha256, mask_sha256, write
from voxledger.models import ladder as module
from voxledger.models.dataset import branches
from voxledger.models.learn_branch import LearnBranch
from voxledger.models.learn_heads import LearnHead
from voxledger.models.model import Model
from voxledger.models.training import Training
from voxledger.params import MachineParams, ModelParams, RetrainParams
from voxledger.records.card import DATASET, check_model, load_tensors
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Entry, Origin
from voxledger.retrain.run import retrain_round
from voxledger.textfile import read_json

torch = pytest.importorskip("torch")

ONE = MachineParams(workers=1)
UNET = ModelParams(backend="monai", network="unet", patch=(8, 16, 16), features=(8, 16), iterations=60)


@pytest.fixture
def six(folder: Path) -> Small:
    """Six cases of the pool, in which people drew all but the spleen."""
    cases, ledger = [], {}
    for number in range(6):
        case_id, (image, labels) = f"c{number}", draw(number)
        path = f"images/{case_id}.nii.gz"
        write(path, image, GRID)
        write(f"data/release/labels/{case_id}.nii.gz", labels, GRID)
        cases.append(Case(case_id, path, file_sha256(path), "", "here", "CC0-1.0", Split.POOL, "CT", ""))
        for name in ("organ", "lesion"):
            digest = mask_sha256(SCHEMA.mask(labels, name), GRID)
            ledger[case_id, name] = Entry(case_id, name, 0, Origin.SOURCE, (), "", "", digest, "", 1.0)
    return Small(cases, ledger)


def without_spleen(small: Small) -> Small:
    """As six, but that in the first two people said that there is no spleen: something has to be known of all."""
    ledger = dict(small.ledger)
    empty = mask_sha256(np.zeros(GRID.shape, bool), GRID)
    for case_id in ("c0", "c1"):
        labels = draw(int(case_id[1:]))[1]
        labels[labels == 7] = 0
        Path(f"data/release/labels/{case_id}.nii.gz").unlink()
        write(f"data/release/labels/{case_id}.nii.gz", labels, GRID)
        ledger[case_id, "spleen"] = Entry(case_id, "spleen", 0, Origin.SOURCE, (), "", "", empty, "", 0.0)
    return replace(small, ledger=ledger)


def with_spleen(small: Small) -> Small:
    """As six, when people have drawn the spleen."""
    ledger = dict(small.ledger)
    for case_id in (case.case_id for case in small.cases):
        labels = draw(int(case_id[1:]))[1]
        Path(f"data/release/labels/{case_id}.nii.gz").unlink()
        write(f"data/release/labels/{case_id}.nii.gz", labels, GRID)
        digest = mask_sha256(SCHEMA.mask(labels, "spleen"), GRID)
        ledger[case_id, "spleen"] = Entry(case_id, "spleen", 1, Origin.REVISED, (), "", "", digest, "", 1.0)
    return replace(small, ledger=ledger)


def retrain(small: Small, model: ModelParams, round_number: int, **params) -> Model:
    asked = RetrainParams(models={"m": model}, **params)
    retrain_round(small.cases, small.schema, small.ledger, round_number, asked, ONE)
    home = layout.NEXT_MODELS / "m"
    return Model(home, check_model(home), small.schema)


def go_on() -> None:
    shutil.rmtree(layout.BASE_MODELS, ignore_errors=True)
    shutil.move(layout.NEXT_MODELS, layout.BASE_MODELS)


@pytest.fixture
def climbing(six: Small) -> Small:
    """A base model that was never taught the spleen, and six cases in which people drew it since."""
    retrain(without_spleen(six), UNET, 0)
    go_on()
    return with_spleen(six)


def auto(small: Small, **params) -> Model:
    """One step of each training says little: what is wanted decides."""
    given = {"continual_iterations": 0.02, "grown_iterations": 0.05, **params}
    return retrain(small, UNET, 1, strategy="continual", continual="auto", **given)


def test_the_next_step_is_tried_only_where_a_class_stays_below_what_full_training_reached(climbing):
    card = auto(climbing, continual_margin=1.0).card
    assert card.ladder is not None
    assert [rung.name for rung in card.ladder.rungs] == ["heads"]
    assert card.ladder.kept == {"spleen": "heads"}
    assert card.taught_by == {"spleen": {"people": 5, "model": 0}}  # one of the six is held out
    assert 0.5 < card.ladder.wanted["spleen"] <= 1  # the mean of what it was taught
    assert card.architecture.endswith(" with heads")

    two = auto(climbing, continual_margin=0.0)
    found = two.card.ladder
    assert [rung.name for rung in found.rungs] == ["heads", "decoder", "adapters"]
    assert all(rung.dice["spleen"] < found.wanted["spleen"] for rung in found.rungs)
    best = max(found.rungs, key=lambda rung: rung.dice["spleen"])
    assert found.kept == {"spleen": best.name}
    grown = branches(read_json(two.folder / DATASET))
    assert [one.kind for one in grown] == [best.name] * (best.name != "heads")
    assert any(name.startswith("branches/") for name in load_tensors(two.folder)) is bool(grown)


@pytest.mark.parametrize("kind", ["decoder", "adapters"])
def test_a_step_that_is_asked_for_is_taken_without_holding_anything_out(climbing, kind):
    one = retrain(climbing, UNET, 1, strategy="continual", continual=kind, grown_iterations=0.5)
    ladder = one.card.ladder
    assert [(rung.name, rung.voxels, rung.dice) for rung in ladder.rungs] == [(kind, 30 * 2 * 8 * 16 * 16, {})]
    assert (ladder.kept, ladder.margin) == ({"spleen": kind}, None)
    (branch,) = branches(read_json(one.folder / DATASET))
    assert (branch.number, branch.kind, branch.channels) == (1, kind, {"spleen": (1,)})
    assert one.card.architecture.endswith(" with branches")
    assert one.card.taught_by == {"spleen": {"people": 6, "model": 0}}


def step_of(job) -> str:
    return job.branch.kind if isinstance(job, LearnBranch) else "heads"


def hashes(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("killed_in", ["heads", "decoder", "adapters"])
def test_who_is_killed_between_steps_goes_on_from_there(climbing, monkeypatch, killed_in):
    auto(climbing, continual_margin=0.0)
    whole = hashes(layout.NEXT_MODELS)
    for key in Path(".memo/retrain").glob("[0-9a-f]*"):
        shutil.rmtree(key)
    done = []
    compute = module.compute

    def counted(job, keep):
        done.append(step_of(job))
        return compute(job, keep)

    with monkeypatch.context() as patch:
        kind = LearnHead if killed_in == "heads" else LearnBranch
        fit = kind._fit

        def killed(job, *more):
            if step_of(job) == killed_in:
                raise VoxledgerError("killed", "no way")
            return fit(job, *more)

        patch.setattr(kind, "_fit", killed)
        patch.setattr(module, "compute", counted)
        with pytest.raises(CasesFailed, match="killed"):
            auto(climbing, continual_margin=0.0)
    monkeypatch.setattr(module, "compute", counted)
    monkeypatch.setattr("voxledger.models.trunk.RunTrunk._features", lambda *_: pytest.fail("the trunk ran again"))
    auto(climbing, continual_margin=0.0)
    assert hashes(layout.NEXT_MODELS) == whole
    steps = ["heads", "decoder", "adapters"]
    assert done == sorted([*steps, killed_in], key=steps.index)  # only what was killed was begun twice
    assert not [entry for stage in ("heads", "branches") for entry in Path(".memo", stage).glob("[0-9a-f]*")]


def test_a_branch_goes_on_and_one_that_speaks_for_no_class_is_left_out(climbing):
    asked = {"strategy": "continual", "continual_iterations": 0.1, "grown_iterations": 0.1}
    first = load_tensors(retrain(climbing, UNET, 1, continual="decoder", **asked).folder)
    go_on()
    ledger = dict(climbing.ledger)
    ledger["c0", "spleen"] = replace(ledger["c0", "spleen"], version=2)
    later = replace(climbing, ledger=ledger)
    for continual, kind in (("heads", "decoder"), ("adapters", "adapters")):
        two = retrain(later, UNET, 2, continual=continual, **asked)
        (branch,) = branches(read_json(two.folder / DATASET))
        assert (branch.number, branch.kind, [rung.name for rung in two.card.ladder.rungs]) == (2, kind, [kind])
        weights = load_tensors(two.folder)
        assert {name.split("/")[1] for name in weights if name.startswith("branches/")} == {"2"}
        before = {name.split("/", 2)[2] for name in first if name.startswith("branches/1/")}
        after = {name.split("/", 2)[2] for name in weights if name.startswith("branches/2/")}
        assert before <= after
        assert any(name.endswith("/up") for name in after) is (kind == "adapters")


def test_a_branch_of_which_no_case_shows_what_the_model_looks_at_stays_as_it_is(climbing, monkeypatch):
    retrain(climbing, UNET, 1, strategy="continual", continual="decoder", grown_iterations=0.02)
    go_on()
    before = branches(read_json(layout.BASE_MODELS / "m" / DATASET))
    ledger = {key: replace(e, version=2) if e.class_name == "spleen" else e for key, e in climbing.ledger.items()}
    monkeypatch.setattr(Training, "painted", lambda self, case: None)
    monkeypatch.setattr(module._Climb, "_is_taught", lambda self, name: False)
    again = retrain(replace(climbing, ledger=ledger), UNET, 2, strategy="continual", continual="heads")
    assert again.card.ladder is not None
    assert again.card.ladder.rungs == ()
    assert branches(read_json(again.folder / DATASET)) == before
