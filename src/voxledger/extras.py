"""Packages that `pip install voxledger` alone does not bring, and the extra that does."""

from __future__ import annotations

from importlib.util import find_spec

from voxledger.errors import Misuse

EXTRAS = {
    "models": (
        *("torch", "nnunetv2", "monai", "batchgenerators", "batchgeneratorsv2", "dynamic_network_architectures"),
        *("acvl_utils", "pandas", "numba", "blosc2", "jinja2", "matplotlib", "sklearn", "threadpoolctl"),
    ),
    "interactive": ("nnInteractive",),
    "dicom": ("pydicom", "highdicom"),
    "hpc": ("distributed", "dask_jobqueue"),
    "ssh": ("asyncssh", "dvc_ssh"),
    "s3": ("botocore", "dvc_s3"),
    "7z": ("py7zr",),
}
"""Modules that are imported, by extra of `pyproject.toml`."""


def install(extra: str) -> str:
    """What to type for an extra."""
    return f"`pip install 'voxledger[{extra}]'`"


def require_extra(name: str) -> None:
    """Raise `Misuse` unless all modules of an extra are installed; imports none of them."""
    for module in EXTRAS[name]:
        if find_spec(module) is None:
            raise _missing(module, name)


def missing_extra(error: BaseException) -> Misuse | None:
    """The error that says which extra to install, if a module of one is what is missing; None for every other.

    Examples
    --------
    >>> print(missing_extra(ModuleNotFoundError("No module named 'torch'", name="torch.nn")))
    torch is not installed, and this needs it
      → `pip install 'voxledger[models]'`, then run this again
    >>> missing_extra(ModuleNotFoundError("No module named 'our_rules'", name="our_rules")) is None
    True
    """
    if not isinstance(error, ModuleNotFoundError):
        return None
    module = (error.name or "").partition(".")[0]
    extra = next((name for name, modules in EXTRAS.items() if module in modules), None)
    return None if extra is None else _missing(module, extra)


def _missing(module: str, extra: str) -> Misuse:
    return Misuse(f"{module} is not installed, and this needs it", f"{install(extra)}, then run this again")
