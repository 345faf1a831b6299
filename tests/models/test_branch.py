"""Branches: networks with outputs of their own beside another, of which they have most weights."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

OUTPUTS = {"4.weight", "4.bias"}
IMAGES = torch.randn(2, 1, 3, 4, 5, generator=torch.Generator().manual_seed(1))


def build(outputs: int):
    conv, linear = torch.nn.Conv3d(1, 12, 3, padding=1), torch.nn.Linear(5, 9)
    up = torch.nn.ConvTranspose3d(12, 10, 2, 2)
    return torch.nn.Sequential(conv, torch.nn.BatchNorm3d(12), linear, up, torch.nn.Conv3d(10, outputs, 1)).eval()


def begun(kind: str, start, outputs: int = 3):
    from voxledger.models.branch import add_adapters, free_decoder, put
    from voxledger.records.card import weights_of

    network = put({n: t for n, t in weights_of(start).items() if n not in OUTPUTS}, build(outputs))
    if kind == "decoder":
        free_decoder(network, [network[3]], OUTPUTS)
    else:
        add_adapters(network, OUTPUTS)
    return network


def learned(network):
    for parameter in network.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter.data, std=0.3)
    return network


@pytest.fixture
def trunk():
    torch.manual_seed(0)
    found = build(2)
    torch.nn.init.normal_(found[1].running_mean)
    return found


def test_outputs_are_what_varies_with_their_number():
    from voxledger.models.branch import outputs_of

    assert outputs_of(build) == OUTPUTS


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("decoder", {"3.weight", "3.bias"}),
        ("adapters", {f"{n}.weight/{m}" for n in (0, 3) for m in ("up", "down")}),  # of 5 inputs none is worth it
    ],
)
def test_a_branch_begins_with_the_features_of_the_network_and_comes_back_as_it_was_saved(trunk, kind, own):
    from voxledger.models.branch import grown, own_weights

    before = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    network = begun(kind, trunk)
    assert torch.equal(network[:4](IMAGES), trunk[:4](IMAGES))
    assert own_weights(network, OUTPUTS).keys() == own | OUTPUTS
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        network(IMAGES).pow(2).mean().backward()
        optimizer.step()
    found = grown(trunk, build, own_weights(network, OUTPUTS), 2)
    assert torch.equal(found(IMAGES), network(IMAGES))
    assert not torch.equal(found[:4](IMAGES), trunk[:4](IMAGES))
    assert not any(p.requires_grad for p in found.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in trunk.state_dict().items())


@pytest.mark.parametrize("first", ["decoder", "adapters"])
@pytest.mark.parametrize("then", ["decoder", "adapters"])
def test_a_branch_may_go_on_from_another(trunk, first, then):
    from voxledger.models.branch import grown, joined, own_weights

    before = own_weights(learned(begun(first, trunk)), OUTPUTS)
    start = grown(trunk, build, before, 2)
    network = learned(begun(then, start, outputs=2))
    found = grown(trunk, build, joined(before, own_weights(network, OUTPUTS)), 1)
    torch.testing.assert_close(found(IMAGES), network(IMAGES), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(found[:4](IMAGES), start[:4](IMAGES))
