"""Networks of MONAI: U-Net, SegResNet, Swin UNETR."""

from voxledger.models.backend import Backend

BACKEND = Backend(
    __name__,
    networks=("unet", "segresnet", "swinunetr"),
    options=("lesion_share", "augmentation", "loss"),
    adopts=True,
    heads=True,
    exports="monai-bundle",
)
