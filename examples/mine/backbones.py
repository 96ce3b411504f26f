"""A backbone: a function that returns one."""

from wsss_lightning.nn.description import described
from wsss_lightning.nn.vgg import VGG


@described  # a trained model's folder says how to build it again
def narrow(weights: str | None) -> VGG:
    """A VGG with few channels, from scratch."""
    return VGG(widths=[8, 16, 16, 32, 32], fc6_kernel=3, hidden=32, num_classes=20)
