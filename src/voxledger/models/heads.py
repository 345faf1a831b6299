"""Weights of a network taken over by one of other classes: output channels go by the names of the classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from voxledger.errors import VoxledgerError
from voxledger.models.dataset import BACKGROUND, channels, outputs
from voxledger.models.start import Phase


def take_over(
    network: Any, weights: dict[str, Any], before: dict[str, Any], after: dict[str, Any], build: Callable[[int], Any]
) -> None:
    """Put the weights of a parent into a network.

    Where a tensor has one row an output, as in the output layers (those of deep supervision too), the row of each class
    is that of the parent's output for it, or the mean of several; a class that the parent has no output for keeps the
    row that the network was initialised with. All other tensors are copied.

    Parameters
    ----------
    network
        Initialised, with the outputs of `after`.
    weights
        Of the parent, by name.
    before, after
        `dataset.json` of parent and network, with the same names for the same classes.
    build
        The network with a given number of outputs: what differs between two of them depends on the outputs.

    Raises
    ------
    VoxledgerError
        The parent is another network.
    """
    import torch

    from voxledger.records.card import weights_of

    own, (rows, known), axes = weights_of(network), _rows(before, after), axes_that_vary(build)
    taken = {}
    for name, tensor in own.items():
        given, by_output = weights.get(name), axes[name]
        if given is None or [n for i, n in enumerate(given.shape) if i not in by_output] != [
            n for i, n in enumerate(tensor.shape) if i not in by_output
        ]:
            raise VoxledgerError(f"the weights of {name} are of another network", "use the strategy full")
        if torch.equal(rows, torch.eye(len(rows))):
            by_output = []
        if any((given.shape[a], tensor.shape[a]) != rows.shape[::-1] for a in by_output):
            continue  # more than one row an output: begins anew
        for number, axis in enumerate(by_output):
            # Outputs that become one are averaged; where they are read again, what they were read with is added.
            mixed = rows if number == 0 else (rows > 0).float()
            given = torch.tensordot(mixed, given, dims=([1], [axis])).movedim(0, axis)
        taken[name] = _known(tensor, given, by_output, known) if by_output else given
    network.load_state_dict({**own, **taken}, strict=False)


def axes_that_vary(build: Callable[[int], Any]) -> dict[str, list[int]]:
    """Axes of every tensor of a network along which its size depends on the number that it is built with."""
    import torch

    with torch.random.fork_rng(devices=[]):  # what is drawn for these two is let go
        two, three = ({n: t.shape for n, t in _named(build(number)).items()} for number in (2, 3))
    return {
        name: [axis for axis, (a, b) in enumerate(zip(size, three[name], strict=True)) if a != b]
        for name, size in two.items()
    }


@contextmanager
def learning(phase: Phase, network: Any, build: Callable[[int], Any]) -> Iterator[list[Any]]:
    """A network ready for a phase of its training; gives the parameters that learn.

    Where only the outputs do, the others get no gradient, and the network is in evaluation mode, so that statistics of
    its normalisation stay, too.

    Parameters
    ----------
    build
        The network with a given number of outputs.
    """
    network.train(not phase.outputs_only)
    held = []
    if phase.outputs_only:
        axes = axes_that_vary(build)
        held = [p for name, p in network.named_parameters() if not axes[name] and p.requires_grad]
    for parameter in held:
        parameter.requires_grad_(False)
    try:
        yield [p for p in network.parameters() if p.requires_grad or not phase.outputs_only]
    finally:
        for parameter in held:
            parameter.requires_grad_(True)


def _rows(before: dict[str, Any], after: dict[str, Any]) -> tuple[Any, list[int]]:
    """Share of each output before in each output after, (after, before), and the outputs after that have any."""
    import torch

    found = {BACKGROUND: (0,), **channels(before)}
    rows = torch.zeros(len(outputs(after)), len(outputs(before)))
    for name, channel in outputs(after).items():
        for source in found.get(name, ()):
            rows[channel, source] = 1 / len(found[name])
    return rows, [int(i) for i in torch.nonzero(rows.sum(1)).flatten()]


def _named(network: Any) -> dict[str, Any]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def _known(own: Any, given: Any, axes: list[int], known: list[int]) -> Any:
    """A tensor that is `given` where the outputs along all of these axes are known, and `own` elsewhere."""
    import torch

    index = [torch.tensor(known) if axis in axes else torch.arange(size) for axis, size in enumerate(own.shape)]
    grid = torch.meshgrid(*index, indexing="ij")
    mixed = own.clone()
    mixed[grid] = given.to(own.dtype)[grid]
    return mixed
