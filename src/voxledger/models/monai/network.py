"""MONAI networks of a `plans.json`, and what an image becomes before them.

Plans of a model that was trained here from nothing hold `network`, `features`, `spacing` and `patch` (z, y, x), and
`intensity`: for CT the bounds, mean and standard deviation of the cohort's foreground; null otherwise, and then every
image is scaled by its own. Those of a model from elsewhere hold `network` (`class` and `arguments`), `transforms` (see
`transforms.py`) and the sliding `window`, whose axes are x, y, z.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.errors import Misuse, VoxledgerError

Array = npt.NDArray[np.float32]


def build_network(plans: dict[str, Any], outputs: int) -> Any:
    """Build the network of the plans with one input channel.

    `unet` is the residual U-Net (Kerfoot et al. 2018), `segresnet` Myronenko's (2018) without the variational
    branch, `swinunetr` Hatamizadeh's (2022); the last two take their width from the first of the features.

    Parameters
    ----------
    plans
        `network` of it is used, and `features` where it was trained here.
    outputs
        Output channels, background first.

    Examples
    --------
    >>> network = build_network({"network": "unet", "features": [4, 8]}, outputs=3)
    >>> import torch
    >>> tuple(network(torch.zeros(1, 1, 8, 8, 16)).shape)  # batch, channel, z, y, x
    (1, 3, 8, 8, 16)
    """
    from monai.networks import nets

    name, arguments = described(plans, outputs)
    return getattr(nets, name)(**arguments)


def described(plans: dict[str, Any], outputs: int) -> tuple[str, dict[str, Any]]:
    """Class in `monai.networks.nets`, and the arguments that it is made with.

    Examples
    --------
    >>> described({"network": "swinunetr", "features": [24]}, outputs=2)
    ('SwinUNETR', {'in_channels': 1, 'out_channels': 2, 'feature_size': 24, 'spatial_dims': 3})
    """
    if from_elsewhere(plans):
        return plans["network"]["class"], {**plans["network"]["arguments"], "out_channels": outputs}
    features = list(plans["features"])
    channels = {"in_channels": 1, "out_channels": outputs}
    if plans["network"] == "unet":
        layers = {"channels": features, "strides": [2] * (len(features) - 1), "num_res_units": 2}
        return "UNet", {"spatial_dims": 3, **channels, **layers, "norm": ["instance", {"affine": True}]}
    if plans["network"] == "segresnet":
        blocks = {"blocks_down": [1] + [2] * (len(features) - 1), "blocks_up": [1] * (len(features) - 1)}
        return "SegResNet", {"spatial_dims": 3, "init_filters": features[0], **channels, **blocks}
    if plans["network"] == "swinunetr":
        return "SwinUNETR", {**channels, "feature_size": features[0], "spatial_dims": 3}
    raise Misuse(f"network {plans['network']} is not one of MONAI's here", "choose unet, segresnet or swinunetr")


def from_elsewhere(plans: dict[str, Any]) -> bool:
    """Whether plans describe a network that was adopted."""
    return isinstance(plans["network"], dict)


def patch_of(plans: dict[str, Any]) -> list[int]:
    """Patch in voxels: z, y, x where it was planned here; x, y, z where the network is from elsewhere."""
    if not from_elsewhere(plans):
        return list(plans["patch"])
    size = plans["window"]["roi_size"]
    return [size] * 3 if isinstance(size, int) else list(size)


def network_arguments(name: str, arguments: dict[str, Any], what: str) -> dict[str, Any]:
    """Arguments of a network from elsewhere, checked; `what` names the file in errors.

    Raises
    ------
    VoxledgerError
        `monai.networks.nets` has no such network, it does not take these arguments, or it is not one that segments a
        volume of one channel.
    """
    from monai.networks import nets
    from torch.nn import Module

    found = getattr(nets, str(name), None)
    if not (isinstance(found, type) and issubclass(found, Module)):
        raise VoxledgerError(
            f"{what}: {name} is no network of monai.networks.nets",
            "only those are taken over; add predictions of other models with `voxledger models add`",
        )
    # Both have no effect on what trained weights predict; one fetches other weights, one is unknown to MONAI by now.
    given = {k: v for k, v in arguments.items() if k not in ("pretrained", "img_size" if name == "SwinUNETR" else "")}
    try:
        bound = inspect.signature(found).bind(**given)
    except TypeError as error:
        raise VoxledgerError(f"{what}: {name}: {error}", "name the arguments as the installed MONAI does") from None
    bound.apply_defaults()
    for argument, wanted in (("in_channels", 1), ("spatial_dims", 3)):
        if bound.arguments.get(argument, wanted) != wanted:
            raise VoxledgerError(
                f"{what}: {name} has {argument} {bound.arguments[argument]}",
                f"only networks with {argument} {wanted} are taken over: a case is one volume of one channel",
            )
    if "out_channels" not in bound.arguments:
        raise VoxledgerError(f"{what}: {name} has no out_channels", "only networks that segment are taken over")
    return given


def patch_divisor(network: str, stages: int) -> int:
    """A patch must be a multiple of this in every axis, in voxels.

    Parameters
    ----------
    stages
        Number of features, each of half the resolution of the one before.

    Examples
    --------
    >>> patch_divisor("unet", stages=4)
    8
    """
    return 32 if network == "swinunetr" else 2 ** (stages - 1)


def architecture_name(plans: dict[str, Any]) -> str:
    """Class and features, such as `UNet 16-32-64-128`; of a network from elsewhere the class."""
    if from_elsewhere(plans):
        return str(plans["network"]["class"])
    name = {"unet": "UNet", "segresnet": "SegResNet", "swinunetr": "SwinUNETR"}[plans["network"]]
    features = plans["features"] if plans["network"] != "swinunetr" else plans["features"][:1]
    return f"{name} {'-'.join(str(f) for f in features)}"


def preprocess(image: npt.NDArray[Any], spacing: tuple[float, ...], plans: dict[str, Any]) -> Array:
    """Normalise an image (z, y, x) and bring it to the plans' spacing."""
    values = image.astype(np.float32)
    intensity = plans["intensity"]
    if intensity is not None:
        values = np.clip(values, intensity["low"], intensity["high"])
        values = (values - np.float32(intensity["mean"])) / np.float32(max(intensity["std"], 1e-8))
    else:
        values = (values - values.mean()) / max(values.std(), np.float32(1e-8))
    return resample(values, working_shape(image.shape, spacing, plans))


def working_shape(shape: tuple[int, ...], spacing: tuple[float, ...], plans: dict[str, Any]) -> tuple[int, int, int]:
    """Shape (z, y, x) of an image at the plans' spacing.

    Parameters
    ----------
    shape, spacing
        Of the image, in voxels and mm (z, y, x).

    Examples
    --------
    >>> working_shape((40, 100, 100), (5.0, 1.0, 1.0), {"spacing": [2.5, 2.0, 2.0]})
    (80, 50, 50)
    """
    z, y, x = (max(1, round(n * have / want)) for n, have, want in zip(shape, spacing, plans["spacing"], strict=True))
    return z, y, x


def resample(values: npt.NDArray[Any], shape: tuple[int, ...], nearest: bool = False) -> Array:
    """Trilinear (or nearest) interpolation of an array (z, y, x) to another shape over the same extent, as float32."""
    import torch
    from torch.nn.functional import interpolate

    if values.shape == shape:
        return values.astype(np.float32, copy=False)
    tensor = torch.from_numpy(np.ascontiguousarray(values, np.float32))[None, None]
    mode = "nearest-exact" if nearest else "trilinear"
    resampled: Array = interpolate(tensor, shape, mode=mode)[0, 0].numpy()
    return resampled
