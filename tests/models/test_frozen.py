"""Heads beside a trunk."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")


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
        trunk, [trunk], [(ClassHead([1, 3], corrects=True), (2,)), (ClassHead([1, 3], corrects=False), ())]
    )
    found = network(torch.randn(2, 1, 4, 4, 4))
    assert torch.equal(found[:, 3].sigmoid().round(decimals=5), found[:, :3].softmax(1)[:, 2].round(decimals=5))
    assert not torch.equal(found[:, 4], torch.zeros_like(found[:, 4]))


def test_the_trunk_has_no_gradient_and_heads_have():
    from voxledger.models.frozen import ClassHead, Frozen

    trunk = torch.nn.Sequential(torch.nn.Conv3d(1, 3, 3, padding=1), torch.nn.BatchNorm3d(3))
    network = Frozen(trunk, [trunk], [(ClassHead([1, 3], corrects=False), ())]).train()
    network(torch.randn(1, 1, 4, 4, 4))[:, 3].sum().backward()
    assert all(one.grad is None for one in trunk.parameters())
    assert all(one.grad is not None for one in network.heads.parameters())
    assert trunk[1].num_batches_tracked == 0


def test_a_branch_speaks_for_its_classes_and_the_trunk_says_the_same():
    from voxledger.models.frozen import ClassHead, Frozen, log_odds

    trunk, branch = (torch.nn.Conv3d(1, n, 3, padding=1) for n in (3, 4))
    images = torch.randn(2, 1, 4, 4, 4)
    before, head = trunk(images), ClassHead([1, 3], corrects=False)
    network = Frozen(trunk, [trunk], [(7, (1, 3)), (head, ()), (7, (2,))], {7: branch})
    found = network.train()(images)
    assert torch.equal(found[:, :3], before)
    assert torch.equal(found[:, 3:4], log_odds(branch(images), (1, 3)))
    assert torch.equal(found[:, 4:5], head([images, before]))
    assert torch.equal(found[:, 5:], log_odds(branch(images), (2,)))
    assert not any(module.training for module in network.branches.modules())
    found[:, 3:].sum().backward()
    assert all(one.grad is None for one in branch.parameters())


@pytest.mark.parametrize("corrects", [True, False])
def test_a_head_with_an_embedding_begins_as_one_without_and_goes_by_the_image(corrects):
    from voxledger.models.frozen import ClassHead, restored

    features = [torch.randn(2, 1, 4, 4, 4), torch.randn(2, 3, 2, 2, 2)]
    torch.manual_seed(0)
    plain = ClassHead([1, 3], corrects)
    torch.manual_seed(0)
    head = ClassHead([1, 3], corrects, (0.6, 0.8))
    torch.testing.assert_close(head(features), plain(features))

    head(features).mean().backward()
    assert head.controller.weight.grad.abs().sum() > 0
    torch.nn.init.normal_(head.controller.weight)
    said = head(features)
    alone = torch.cat([head([one[i : i + 1] for one in features]) for i in range(2)])
    torch.testing.assert_close(said, alone)
    same_fine = [features[0][:1].expand(2, -1, -1, -1, -1), features[1]]
    assert not torch.allclose(head(same_fine)[0], head(same_fine)[1])
    found = restored([1, 3], head.state_dict())
    assert found.embedding.tolist() == pytest.approx([0.6, 0.8])
    assert torch.equal(found(features), said)
