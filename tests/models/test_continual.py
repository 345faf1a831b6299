"""Heads on a network that stays as it is: whatever its normalisation, other classes keep their probabilities."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxledger import layout
from voxledger.errors import CasesFailed
from voxledger.imaging.soft import open_soft
from voxledger.models.backend import backend_of
from voxledger.models.dataset import describe
from voxledger.models.model import Model
from voxledger.models.monai.trunk import decoders
from voxledger.models.nnunet.stages import KEY, Stages
from voxledger.models.prediction import network_predictions
from voxledger.params import InferParams, MachineParams, ModelParams, RetrainParams
from voxledger.records.card import (
    DATASET,
    PLANS,
    ModelCard,
    check_model,
    load_tensors,
    read_card,
    save_weights,
    to_json,
    write_card,
)
from voxledger.records.ledger import Origin
from voxledger.retrain.run import retrain_round
from voxledger.textfile import read_json

torch = pytest.importorskip("torch")

ONE = MachineParams(workers=1)
LAYERS = {"channels": [4, 8, 8], "strides": [2, 2], "num_res_units": 1}
INSTANCE, AFFINE, BATCH, GROUP = "instance", ["instance", {"affine": True}], "batch", ["group", {"num_groups": 2}]
MONAI = {
    "UNet": [{**LAYERS, "norm": norm} for norm in (INSTANCE, AFFINE, BATCH, GROUP)],
    "SegResNet": [
        {"init_filters": 4, "blocks_down": [1, 1], "blocks_up": [1], "norm": norm}
        for norm in (INSTANCE, AFFINE, BATCH, GROUP)
    ],
    "SwinUNETR": [{"feature_size": 12, "norm_name": norm} for norm in (INSTANCE, AFFINE, BATCH, GROUP)],
}
# nnU-Net gives the number of channels first to every normalisation, so none of its plans can name GroupNorm.
NNUNET = [
    ("torch.nn.modules.instancenorm.InstanceNorm3d", {"eps": 1e-5, "affine": True}),
    ("torch.nn.modules.instancenorm.InstanceNorm3d", {"eps": 1e-5, "affine": False}),
    ("torch.nn.modules.batchnorm.BatchNorm3d", {"eps": 1e-5, "affine": True}),
]
FAST = ("UNet-batch", "SegResNet-['group', {'num_groups': 2}]", "nnU-Net-InstanceNorm3d-True")
"""The others are slow together."""


def case(name: str, given: object, what: object):
    label = f"{name}-{what}"
    return pytest.param(name, given, id=label, marks=() if label in FAST else pytest.mark.slow)


CASES = [
    case(name, given, given.get("norm", given.get("norm_name"))) for name, options in MONAI.items() for given in options
]
CASES += [case("nnU-Net", norm, f"{norm[0].rpartition('.')[2]}-{norm[1]['affine']}") for norm in NNUNET]
CASES.append(case("mirrored nnU-Net", NNUNET[0], "affine"))
NN = ModelParams(backend="nnunet", recipe="small", patch=(8, 16, 16), features=(4, 8, 8), iterations=1)


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> Path:
    """A model of nnU-Net."""
    from small_cases import small as cases

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("planned"))
        small = cases.__wrapped__(Path.cwd())
        retrain_round(small.cases, small.schema, small.ledger, 0, RetrainParams(models={"m": NN}), ONE)
        return (layout.NEXT_MODELS / "m").resolve()


def parent(small, planned: Path, name: str, given) -> ModelParams:
    """Make a base model `m` of random weights and statistics; returns what the parameters say of it."""
    home = layout.BASE_MODELS / "m"
    torch.manual_seed(0)
    if name.endswith("nnU-Net"):
        from voxledger.models.nnunet.network import build_network

        shutil.copytree(planned, home)
        plans, model = read_json(home / PLANS), NN
        dataset = read_json(home / DATASET)
        layers = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
        if name.startswith("mirrored"):
            plans[KEY] = Stages(mirror_axes=(0, 2)).model_dump(mode="json")
        layers["norm_op"], layers["norm_op_kwargs"] = given
        network = build_network(plans, dataset, "3d_fullres", deep_supervision=False)
    else:
        from voxledger.models.monai.network import build_network as build

        home.mkdir(parents=True)
        size = [64, 32, 32] if name == "SwinUNETR" else [16, 16, 8]
        plans = {
            "network": {"class": name, "arguments": {"spatial_dims": 3, "in_channels": 1, **given}},
            "transforms": [{"_target_": "NormalizeIntensityd"}],
            "window": {"roi_size": size, "overlap": 0.5, "mode": "gaussian"},
        }
        dataset, model = describe(small.schema, ["CT"], 3, ignore=False), ModelParams(backend="monai", network="unet")
        network = build(plans, 4)
    for key, tensor in network.named_buffers():
        if tensor.is_floating_point():
            torch.nn.init.uniform_(tensor, 0.5, 2) if "var" in key else torch.nn.init.normal_(tensor)
    (home / PLANS).write_text(to_json(plans))
    (home / DATASET).write_text(to_json(dataset))
    values = read_card(planned).model_dump() | {"name": "m", "backend": model.backend, "params": model.record()}
    write_card(home, ModelCard.model_validate(values | {"id": save_weights(home, network), "round": 0}))
    return model


def revised(small, class_name: str, version: int, *cases: str):
    """The same, with masks of a class that were corrected in a round."""
    ledger = dict(small.ledger)
    for case_id in cases:
        ledger[case_id, class_name] = replace(ledger[case_id, class_name], origin=Origin.REVISED, version=version)
    return replace(small, ledger=ledger)


def continual(small, model: ModelParams, round_number: int = 1, **params) -> Model:
    params = RetrainParams(strategy="continual", models={"m": model}, **params)
    retrain_round(small.cases, small.schema, small.ledger, round_number, params, ONE)
    return Model(layout.NEXT_MODELS / "m", check_model(layout.NEXT_MODELS / "m"), small.schema)


def said(model: Model, small, case: str = "c3") -> dict[str, np.ndarray]:
    """What is stored of the probabilities of every class."""
    (job,) = network_predictions(model, [c for c in small.cases if c.case_id == case], InferParams(), ONE)
    out = Path("said") / f"{model.card.id}.b2nd"
    job.predict(out)
    found = open_soft(out)
    return {name: found.probabilities(name) for name in found.classes}


def base(small) -> Model:
    return Model(layout.BASE_MODELS / "m", check_model(layout.BASE_MODELS / "m"), small.schema)


@pytest.mark.parametrize(("name", "given"), CASES)
def test_a_head_leaves_all_else_bit_by_bit(small, planned, name, given):
    model = parent(small, planned, name, given).model_copy(update={"iterations": 2})
    grown = continual(revised(small, "lesion", 1, "c0"), model, continual_iterations=1.0)
    assert (grown.card.strategy, grown.card.parent) == ("continual", base(small).card.id)
    before, after = load_tensors(base(small).folder), load_tensors(grown.folder)
    assert {n for n in after if not n.startswith("heads/")} == before.keys()
    for key, tensor in before.items():
        assert torch.equal(after[key], tensor), key
    one, other = said(base(small), small), said(grown, small)
    assert list(other) == ["organ", "lesion", "spleen"]
    for untouched in ("organ", "spleen"):  # though the lesion counts as organ
        assert one[untouched].any()
        np.testing.assert_array_equal(other[untouched].view(np.uint16), one[untouched].view(np.uint16))
    assert not np.array_equal(other["lesion"], one["lesion"])


@pytest.mark.parametrize("kind", ["decoder", "adapters"])
@pytest.mark.parametrize(("name", "given"), CASES)
def test_a_branch_leaves_all_else_bit_by_bit(small, planned, name, given, kind):
    """Also what a head says of another class; and in the next round, what the branch says of another class."""
    model = parent(small, planned, name, given).model_copy(update={"iterations": 2})
    go_on(continual(revised(small, "spleen", 1, "c0"), model, continual_iterations=1.0))
    before, asked = hashes_of(base(small)), {"continual": kind, "grown_iterations": 1.0}
    if name == "UNet" and given["norm"] == GROUP:
        with pytest.raises(CasesFailed, match="cannot be built with other numbers of outputs"):
            continual(revised(small, "lesion", 2, "c0"), model, 2, **asked)
        return
    two = continual(revised(revised(small, "lesion", 2, "c0"), "organ", 2, "c0"), model, 2, **asked)
    after = hashes_of(two)
    assert {n: after[n] for n in before} == before
    own = {n.split("/", 2)[2] for n in after if n.startswith("branches/1/")}
    assert any(n.endswith("/up") for n in own) is (kind == "adapters")
    assert before.keys() | {f"branches/1/{n}" for n in own} == after.keys()
    earlier, later = said(base(small), small), said(two, small)
    np.testing.assert_array_equal(later["spleen"].view(np.uint16), earlier["spleen"].view(np.uint16))
    assert not any(np.array_equal(later[name], earlier[name]) for name in ("organ", "lesion"))
    go_on(two)
    three = continual(revised(small, "lesion", 3, "c1"), model, 3, grown_iterations=1.0)
    assert {n: t for n, t in hashes_of(three).items() if not n.startswith("branches/2/")} == after
    last = said(three, small)
    for name in ("organ", "spleen"):
        np.testing.assert_array_equal(last[name].view(np.uint16), later[name].view(np.uint16))
    assert not np.array_equal(last["lesion"], later["lesion"])


def go_on(model: Model) -> None:
    """What `round open` does to it."""
    shutil.rmtree(layout.BASE_MODELS)
    shutil.move(layout.NEXT_MODELS, layout.BASE_MODELS)


def hashes_of(model: Model) -> dict[str, str]:
    return {n: hashlib.sha256(t.numpy().tobytes()).hexdigest() for n, t in load_tensors(model.folder).items()}


@pytest.mark.parametrize(("name", "given"), CASES)
def test_a_trunk_stays_as_it_is_in_training(small, planned, name, given):
    """Weights, buffers and outputs; `train()` moves running statistics of a network that is not frozen."""
    from voxledger.models.frozen import ClassHead, Frozen

    parent(small, planned, name, given)
    model = base(small)
    trunk = backend_of(model.card).trunk(model.folder)
    network = Frozen(trunk.network, trunk.decoders(trunk.network), ())
    window = torch.randn(1, 1, *trunk.patch)
    logits, features = network.features(window)
    assert [one.shape[2:] for one in features[:1]] == [window.shape[2:]]
    assert len(features) > 1
    head = ClassHead([one.shape[1] for one in features], corrects=True)
    network = Frozen(trunk.network, (), [(head, (2,))])
    before = {key: tensor.clone() for key, tensor in network.trunk.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), 0.1)
    for _ in range(2):
        network.train()
        optimizer.zero_grad()
        (head(features) ** 2 - head(features)).mean().backward()
        with torch.enable_grad():
            network.trunk(window)
        optimizer.step()
    assert head.last.bias.item() != 0
    assert not any(module.training for module in network.trunk.modules())
    for key, tensor in network.trunk.state_dict().items():
        assert torch.equal(tensor, before[key]), key
    assert torch.equal(network.trunk(window), logits)


def test_features_of_every_network_have_the_scales_of_its_decoder():
    from monai.networks.nets import SegResNet, SwinUNETR, UNet

    from voxledger.models.frozen import Frozen

    shapes = {}
    for network in (
        UNet(3, 1, 3, (4, 8, 16, 32), (2, 2, 2), num_res_units=2),
        SegResNet(init_filters=8, blocks_down=(1, 1, 1), blocks_up=(1, 1), out_channels=3),
        SwinUNETR(1, 3, feature_size=12),
    ):
        _, found = Frozen(network, decoders(network), ()).features(torch.zeros(1, 1, 32, 32, 64))
        shapes[type(network).__name__] = [tuple(one.shape[1:3]) for one in found]
    assert shapes == {
        "UNet": [(1, 32), (3, 32), (8, 16), (16, 8), (48, 4)],
        "SegResNet": [(1, 32), (8, 32), (16, 16)],
        "SwinUNETR": [(1, 32), (12, 32), (12, 16), (24, 8), (48, 4), (96, 2)],
    }
