"""Heads beside a trunk."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")


def of(network):
    """The network itself is what gives features."""
    return [network]


@pytest.mark.parametrize(
    ("logits", "channels", "wanted"),
    [
        ([0.0, 0.0], [1], 0.0),
        ([0.0, 2.0, 0.0], [1], 2 - np.log(2)),
        ([0.0, 1.0, 1.0], [1, 2], 1 + np.log(2)),
        ([40.0, 0.0], [1], -9.0),
        ([0.0, 40.0], [1], 9.0),
    ],
)
def test_what_a_head_corrects_are_the_odds_of_its_channels(logits, channels, wanted):
    from voxledger.models.frozen import log_odds

    found = log_odds(torch.tensor(logits)[None, :, None, None, None], channels)
    assert found.shape == (1, 1, 1, 1, 1)
    assert found.item() == pytest.approx(wanted, abs=1e-6)


def test_a_head_that_corrects_begins_with_what_the_network_says():
    from voxledger.models.frozen import ClassHead, Frozen

    trunk = torch.nn.Conv3d(1, 3, 3, padding=1)
    network = Frozen(
        trunk, of, [(ClassHead([1, 3], corrects=True), (2,), 0), (ClassHead([1, 3], corrects=False), (), 0)]
    )
    found = network(torch.randn(2, 1, 4, 4, 4))
    assert torch.equal(found[:, 3].sigmoid().round(decimals=5), found[:, :3].softmax(1)[:, 2].round(decimals=5))
    assert not torch.equal(found[:, 4], torch.zeros_like(found[:, 4]))


def test_the_trunk_has_no_gradient_and_heads_have():
    from voxledger.models.frozen import ClassHead, Frozen

    trunk = torch.nn.Sequential(torch.nn.Conv3d(1, 3, 3, padding=1), torch.nn.BatchNorm3d(3))
    network = Frozen(trunk, of, [(ClassHead([1, 3], corrects=False), (), 0)]).train()
    network(torch.randn(1, 1, 4, 4, 4))[:, 3].sum().backward()
    assert all(one.grad is None for one in trunk.parameters())
    assert all(one.grad is not None for one in network.heads.parameters())
    assert trunk[1].num_batches_tracked == 0


def test_a_head_on_a_branch_reads_its_features_and_the_trunk_says_the_same():
    from voxledger.models.branch import grown
    from voxledger.models.frozen import ClassHead, Frozen

    trunk = torch.nn.Conv3d(1, 3, 3, padding=1)
    images = torch.randn(2, 1, 4, 4, 4)
    before = trunk(images)
    branch = grown(trunk, {"bias": trunk.bias.detach() + 1})
    heads = [ClassHead([1, 3], corrects=False) for _ in range(2)]
    heads[1].load_state_dict(heads[0].state_dict())
    network = Frozen(trunk, of, [(heads[0], (), 0), (heads[1], (), 7)], {7: branch})
    found = network.train()(images)
    assert torch.equal(found[:, :3], before)
    torch.testing.assert_close(found[:, 4:], heads[0]([images, before + 1]))
    assert not torch.equal(found[:, 3], found[:, 4])
    assert not any(module.training for module in network.branches.modules())
