"""Branches: copies of a network of which some weights are their own."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")


def network():
    torch.manual_seed(0)
    conv, linear = torch.nn.Conv3d(1, 12, 3, padding=1), torch.nn.Linear(5, 9)
    up = torch.nn.ConvTranspose3d(12, 10, 2, 2)
    return torch.nn.Sequential(conv, torch.nn.BatchNorm3d(12), up, linear, torch.nn.Conv3d(10, 2, 1)).eval()


IMAGES = torch.randn(2, 1, 3, 4, 5, generator=torch.Generator().manual_seed(1))


def grow(kind: str, of):
    from voxledger.models.branch import with_adapters, with_decoder

    return with_decoder(of, [of[2]]) if kind == "decoder" else with_adapters(of)


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("decoder", {"2.weight", "2.bias"}),
        (
            "adapters",
            {f"{n}.weight/{m}" for n in (0, 2) for m in ("up", "down")},
        ),  # the others have too few inputs or outputs
    ],
)
def test_a_branch_begins_with_what_the_network_says_and_comes_back_as_it_was_saved(kind, own):
    from voxledger.models.branch import grown, own_weights

    trunk = network()
    before = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    branch = grow(kind, trunk)
    torch.testing.assert_close(branch[:3](IMAGES), trunk[:3](IMAGES), rtol=0, atol=0)
    saved = own_weights(branch)
    assert saved.keys() == own
    optimizer = torch.optim.AdamW([p for p in branch.parameters() if p.requires_grad], 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        branch[:3](IMAGES).pow(2).mean().backward()
        optimizer.step()
    found = grown(trunk, own_weights(branch))
    assert torch.equal(found[:3](IMAGES), branch[:3](IMAGES))
    assert not torch.equal(found[:3](IMAGES), trunk[:3](IMAGES))
    assert all(torch.equal(tensor, before[name]) for name, tensor in trunk.state_dict().items())
    assert torch.equal(branch[1].running_mean, trunk[1].running_mean)


@pytest.mark.parametrize("first", ["decoder", "adapters"])
@pytest.mark.parametrize("then", ["decoder", "adapters"])
def test_a_branch_may_go_on_from_another(first, then):
    from voxledger.models.branch import grown, joined, own_weights

    trunk = network()
    before = own_weights(moved(grow(first, trunk)))
    start = grown(trunk, before)
    branch = moved(grow(then, start))
    found = grown(trunk, joined(before, own_weights(branch)))
    torch.testing.assert_close(found[:3](IMAGES), branch[:3](IMAGES), rtol=1e-4, atol=1e-3)
    assert not torch.allclose(found[:3](IMAGES), start[:3](IMAGES))


def moved(branch):
    for parameter in branch.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter.data)
    return branch
