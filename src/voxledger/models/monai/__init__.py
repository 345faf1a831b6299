"""Networks of MONAI: U-Net, SegResNet, Swin UNETR."""
