"""nnU-Net (Isensee et al., Nature Methods 2021)."""

from voxledger.models.backend import Backend

BACKEND = Backend(
    __name__,
    networks=(
        "plans",
        "nnUNetPlans",
        "nnUNetResEncUNetMPlans",
        "nnUNetResEncUNetLPlans",
        "nnUNetResEncUNetXLPlans",
    ),
    recipes=("nnunet", "small"),
    options=("lesion_share", "augmentation", "loss"),
    adopts=True,
    heads=True,
    exports="nnunet",
)
