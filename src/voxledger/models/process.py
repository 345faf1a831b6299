"""How networks run in one process: one thread, seeded, deterministic, without the chatter of libraries."""

from __future__ import annotations

import contextlib
import os
import random
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def single_thread(device: str) -> Iterator[None]:
    """Run torch on one thread with deterministic algorithms, so that results do not depend on the machine's load.

    On a GPU, operations without a deterministic form are allowed: there only the CPU repeats bit for bit.
    """
    import torch

    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def seed_everything(seed: int) -> None:
    """Seed the three global generators that nnU-Net and MONAI draw from."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (nnU-Net's data loader draws from numpy's global generator)
    torch.manual_seed(seed)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what nnU-Net prints about every step from the user's terminal."""
    with open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
