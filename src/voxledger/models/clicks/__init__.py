"""One multi-class network that predicts by itself, and under clicks: the shared model of SAIM."""

from voxledger.models.backend import Backend

BACKEND = Backend(
    __name__, networks=("unet", "plans"), options=("lesion_share", "augmentation", "loss"), interactive=True
)
