"""The network of a model of nnInteractive, and what its session is told about it.

The network is one of nnU-Net's `plans.json`: its inputs are the image and `MARKS` channels, in nnInteractive's order
the mask before, lassos and boxes, points, and scribbles, each of the last three once for what belongs to the object
and once for what does not; its outputs are background and object. What nnInteractive keeps in `inference_info.json`
and in the checkpoint stands in `plans.json` under a key of ours, so that the id of the model covers it.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from voxledger.errors import Misuse, VoxledgerError
from voxledger.models.nnunet.network import network_of
from voxledger.models.process import quiet

KEY = "voxledger"
MARKS = 7
"""Channels beside the image."""
OUTPUTS = 2
SHARED = {"lasso": 1, "box": 1, "point": 3, "scribble": 5}
"""First of the two channels of every kind of prompt; 0 is the mask before."""
OBJECT = "object"
"""What `dataset.json` calls the one class, which stands for whatever is marked."""


class Interactive(BaseModel):
    """What is known of the model beside its layers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    configuration: str = "3d_fullres"
    """Of the plans."""
    trainer: str = "nnInteractiveTrainer_stub"
    point_radius: float = Field(default=2, gt=0)
    """Of the ball that a point becomes, in voxels."""
    decay: float = Field(default=1.0, gt=0, le=1)
    """What of a prompt is left with every later one."""
    clip: tuple[float, float] | None = None
    """Bounds of the intensities that it was trained with; nnInteractive's own models have none."""


def interactive_of(plans: dict[str, Any]) -> Interactive:
    """What is known of a model, by its plans."""
    return Interactive.model_validate(plans.get(KEY, {}))


def describe_object() -> dict[str, Any]:
    """`dataset.json`: one channel of whatever modality, and one class of whatever name."""
    return {"channel_names": {"0": "image"}, "labels": {"background": 0, OBJECT: 1}, "file_ending": ".nii.gz"}


def build_network(plans: dict[str, Any]) -> Any:
    """The network of the plans, initialised as nnU-Net does.

    Raises
    ------
    VoxledgerError
        The plans name a network that is not nnU-Net's.
    """
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    with quiet():
        configuration = PlansManager(plans).get_configuration(interactive_of(plans).configuration)
        return network_of(configuration, 1 + MARKS, OUTPUTS, deep_supervision=False)


def require_installed() -> None:
    """Raise `Misuse` unless nnInteractive is installed; it comes with an extra, since most repositories need none."""
    if find_spec("nnInteractive") is None:
        raise Misuse("nnInteractive is not installed", "`pip install 'voxledger[interactive]'`")


def artifacts(plans: dict[str, Any], dataset: dict[str, Any], network: Any) -> dict[str, Any]:
    """What `nnInteractiveInferenceSession.initialize_from_loaded_artifacts` takes."""
    from nnInteractive.interaction.point import PointInteraction_stub
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    known, manager = interactive_of(plans), PlansManager(plans)
    return {
        "capability_content": {"interaction_channels": MARKS - 1},
        "point_interaction": PointInteraction_stub(known.point_radius, use_distance_transform=True),
        "preferred_scribble_thickness": [2, 2, 2],
        "interaction_decay": known.decay,
        "pad_mode_data": "constant",
        "network": network,
        "plans_manager": manager,
        "configuration_manager": manager.get_configuration(known.configuration),
        "dataset_json": dataset,
        "trainer_name": known.trainer,
        "label_manager": None,
        "license": None,
    }


def patch_of(plans: dict[str, Any]) -> tuple[int, int, int]:
    """The patch in voxels (z, y, x)."""
    configuration = plans["configurations"][interactive_of(plans).configuration]
    while "patch_size" not in configuration:
        configuration = plans["configurations"][configuration["inherits_from"]]
    z, y, x = configuration["patch_size"]
    return int(z), int(y), int(x)


def require_patch(patch: tuple[int, ...], stages: int) -> None:
    """Raise unless a patch halves as often as the network does."""
    divisor = 2 ** (stages - 1)
    if any(side % divisor or side <= 0 for side in patch):
        raise VoxledgerError(
            f"a patch of {'×'.join(map(str, patch))} voxels cannot be halved {stages - 1} times",
            f"give sides that are multiples of {divisor}",
        )


def architecture_name(plans: dict[str, Any]) -> str:
    """Class and features of the network in words."""
    planned = plans["configurations"][interactive_of(plans).configuration]["architecture"]
    features = "-".join(map(str, planned["arch_kwargs"]["features_per_stage"]))
    return f"{planned['network_class_name'].rsplit('.', 1)[-1]} {features}, marked objects"
