"""Losses of trainings."""

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


KINDS = ("dice_ce", "dice_focal", "tversky_ce")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_leaves_out_what_is_ignored_and_is_0_for_the_right_answer(torch, kind):
    from voxledger.models.losses import HybridLoss

    torch.manual_seed(0)
    loss = HybridLoss(3, IGNORE, kind)
    labels = torch.randint(0, 3, (2, 4, 4, 4))
    labels[:, 2:] = IGNORE
    logits = torch.randn(2, 3, 4, 4, 4, requires_grad=True)
    value = loss(logits, labels)
    value.backward()
    assert (logits.grad[:, :, 2:] == 0).all()
    assert (logits.grad[:, :, :2] != 0).any()
    changed = logits.detach().clone()
    changed[:, :, 2:] = 100 * torch.randn_like(changed[:, :, 2:])
    torch.testing.assert_close(loss(changed, labels), value.detach())
    known = torch.arange(64).reshape(1, 4, 4, 4) % 3
    right = 50 * torch.nn.functional.one_hot(known, 3).movedim(-1, 1).float()
    assert float(loss(right, known)) == pytest.approx(0, abs=1e-3)
    assert float(loss(-right, known)) > 5
    assert float(loss(right, torch.full_like(known, IGNORE))) == 0


def test_focal_and_tversky_are_what_their_formulas_say(torch):
    """Two classes, four voxels with p = 0.9, 0.6, 0.2, 0.5 for the second; it is the truth in the first two."""
    from voxledger.models.losses import HybridLoss

    p, truth = torch.tensor([0.9, 0.6, 0.2, 0.5]), torch.tensor([1.0, 1.0, 0.0, 0.0])
    logits = torch.stack([torch.log(1 - p), torch.log(p)]).reshape(1, 2, 1, 1, 4)
    labels = truth.long().reshape(1, 1, 1, 4)
    right = torch.where(truth == 1, p, 1 - p)
    dice = 1 - 2 * (p * truth).sum() / (p.sum() + truth.sum())
    both, many, missed = (p * truth).sum(), (p * (1 - truth)).sum(), ((1 - p) * truth).sum()
    tversky = 1 - both / (both + 0.3 * many + 0.7 * missed)
    entropy = -torch.log(right).mean()
    focal = (-((1 - right) ** 2) * torch.log(right)).mean()
    for kind, expected in zip(KINDS, (dice + entropy, dice + focal, tversky + entropy), strict=True):
        assert float(HybridLoss(2, IGNORE, kind)(logits, labels)) == pytest.approx(float(expected), abs=1e-4), kind
