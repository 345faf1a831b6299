"""Weights taken over by a network of other classes."""

from __future__ import annotations

import pytest

from voxledger.errors import VoxledgerError
from voxledger.models.heads import learning, take_over
from voxledger.models.start import Phase
from voxledger.records.card import weights_of

torch = pytest.importorskip("torch")

BEFORE = {
    "labels": {"background": 0, "L1": 1, "L2": 2, "liver": 3, "hip": 4, "ignore": 5},
    "class_map": {"L1": "spine", "L2": "spine", "hip": "ignore"},
}
AFTER = {"labels": {"background": 0, "liver": 1, "lesion": 2, "spine": 3, "ignore": 4}}


class Net(torch.nn.Module):
    """A trunk, an output layer, and one that reads outputs again; `shuffled` has eight rows an output."""

    def __init__(self, outputs: int, width: int = 2) -> None:
        super().__init__()
        self.trunk = torch.nn.Conv3d(1, width, 1)
        self.head = torch.nn.Conv3d(width, outputs, 1)
        self.refine = torch.nn.Conv3d(outputs, outputs, 1)
        self.up = torch.nn.ConvTranspose3d(width, outputs, 1)
        self.shuffled = torch.nn.Conv3d(width, 8 * outputs, 1)
        self.register_buffer("seen", torch.tensor(0))


def taken(seed: int = 1) -> tuple[dict, dict, dict]:
    """Weights before, of the network as it was initialised, and after."""
    torch.manual_seed(0)
    parent = Net(5)
    parent.seen += 7
    torch.manual_seed(seed)
    network = Net(4)
    fresh = {name: t.clone() for name, t in weights_of(network).items()}
    state = torch.random.get_rng_state()
    take_over(network, weights_of(parent), BEFORE, AFTER, Net)
    assert torch.equal(state, torch.random.get_rng_state()), "the training would draw other numbers"
    return weights_of(parent), fresh, weights_of(network)


@pytest.mark.parametrize("name", ["head.weight", "head.bias", "refine.bias", "up.bias"])
def test_rows_go_by_the_name_of_the_class(name):
    before, fresh, after = taken()
    assert torch.equal(after[name][0], before[name][0])
    assert torch.equal(after[name][1], before[name][3])
    assert torch.equal(after[name][2], fresh[name][2]), "a new class begins anew"
    torch.testing.assert_close(after[name][3], (before[name][1] + before[name][2]) / 2)


def test_outputs_that_lie_along_another_axis_are_found():
    before, fresh, after = taken()
    assert torch.equal(after["up.weight"][:, 1], before["up.weight"][:, 3])
    assert torch.equal(after["up.weight"][:, 2], fresh["up.weight"][:, 2])


def test_where_outputs_are_read_again_what_becomes_one_is_added():
    """So that the mean of two is read with the sum of their weights."""
    before, fresh, after = taken()
    weight = before["refine.weight"][..., 0, 0, 0]
    found = after["refine.weight"][..., 0, 0, 0]
    torch.testing.assert_close(found[1, 3], weight[3, 1] + weight[3, 2])
    torch.testing.assert_close(found[3, 1], (weight[1, 3] + weight[2, 3]) / 2)
    assert torch.equal(found[2], fresh["refine.weight"][2, :, 0, 0, 0])
    assert torch.equal(found[:, 2], fresh["refine.weight"][:, 2, 0, 0, 0])


def test_the_rest_is_copied_and_what_has_several_rows_an_output_begins_anew():
    before, fresh, after = taken()
    for name in ("trunk.weight", "trunk.bias", "seen"):
        assert torch.equal(after[name], before[name]), name
    assert torch.equal(after["shuffled.weight"], fresh["shuffled.weight"])


def test_the_same_classes_are_copied_bit_for_bit():
    torch.manual_seed(0)
    parent, network = Net(4), Net(4)
    take_over(network, weights_of(parent), AFTER, AFTER, Net)
    for name, tensor in weights_of(parent).items():
        assert torch.equal(weights_of(network)[name], tensor), name


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 2)])
def test_classes_that_come_or_go_at_the_end_do_not_make_it_the_same(before, after):
    labels = {"background": 0, "liver": 1, "spleen": 2}
    datasets = [{"labels": {name: i for name, i in labels.items() if i < n}} for n in (before, after)]
    parent, network = Net(before), Net(after)
    fresh = network.head.bias.detach().clone()
    take_over(network, weights_of(parent), *datasets, Net)
    assert torch.equal(network.head.bias[:2], parent.head.bias[:2])
    assert torch.equal(network.head.bias[2:], fresh[2:])


class Normalised(torch.nn.Module):
    """A trunk whose normalisation has statistics, and an output layer."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.trunk = torch.nn.Sequential(torch.nn.Conv3d(1, 2, 1), torch.nn.BatchNorm3d(2))
        self.head = torch.nn.Conv3d(2, outputs, 1)

    def forward(self, x):
        return self.head(self.trunk(x))


@pytest.mark.parametrize("outputs_only", [True, False])
def test_a_phase_of_the_outputs_leaves_trunk_and_statistics_alone(outputs_only):
    network = Normalised(3)
    network.trunk[0].bias.requires_grad_(False)
    before = {name: t.clone() for name, t in weights_of(network).items()}
    with learning(Phase(1, outputs_only=outputs_only), network, Normalised) as parameters:
        optimizer = torch.optim.SGD(parameters, 0.1)
        network(torch.rand(2, 1, 4, 4, 4)).square().sum().backward()
        optimizer.step()
    moved = {name for name, t in weights_of(network).items() if not torch.equal(t, before[name])}
    heads = {"head.weight", "head.bias"}
    assert moved == heads if outputs_only else {"trunk.1.running_mean", "trunk.0.weight"} < moved > heads
    held = [name for name, p in network.named_parameters() if not p.requires_grad]
    assert held == ["trunk.0.bias"], "what somebody held before, he holds after"


def test_another_network_is_refused():
    with pytest.raises(VoxledgerError, match=r"trunk\.weight are of another network"):
        take_over(Net(4), weights_of(Net(5, width=3)), BEFORE, AFTER, Net)
