"""The loss of MONAI networks."""

from __future__ import annotations

import pytest

IGNORE = 3


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_ignored_voxels_have_no_say(torch):
    from voxledger.models.losses import HybridLoss

    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4, 4, 4, requires_grad=True)
    labels = torch.randint(0, 3, (2, 4, 4, 4))
    labels[:, 2:] = IGNORE
    loss = HybridLoss(3, IGNORE)
    value = loss(logits, labels)
    value.backward()
    assert (logits.grad[:, :, 2:] == 0).all()
    assert (logits.grad[:, :, :2] != 0).any()
    changed = logits.detach().clone()
    changed[:, :, 2:] = 100 * torch.randn_like(changed[:, :, 2:])
    torch.testing.assert_close(loss(changed, labels), value.detach())


def test_the_loss_falls_towards_zero_for_the_right_answer_and_survives_an_unknown_batch(torch):
    from voxledger.models.losses import HybridLoss

    loss = HybridLoss(3, IGNORE)
    labels = torch.arange(64).reshape(1, 4, 4, 4) % 3
    right = 50 * torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).float()
    assert float(loss(right, labels)) == pytest.approx(0, abs=1e-3)
    assert float(loss(-right, labels)) > 10
    assert float(loss(right, torch.full_like(labels, IGNORE))) == 0
