"""Segmenters start from the ImageNet classifier: fc6 and fc7 reduced, the last layer from rows of shared classes."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from wsss_lightning.errors import InputError
from wsss_lightning.nn.vgg import VGG

WeightBias = tuple[Tensor, Tensor]  # weight and bias
_STD = 0.1  # priors sec. 4.2.1, of the background's row
LAST_STD = 0.01


def reduce_classifier(classifier: VGG, *, kernel: int, hidden: int) -> tuple[WeightBias, WeightBias, WeightBias]:
    """fc6, fc7 and fc8 of a VGG with fewer filters and a smaller kernel, by decimation as in DeepLab.

    Of G filters every (G / hidden)-th is kept and of fc6's taps `kernel` per axis, evenly spread with both ends; fc7
    and fc8 keep the columns of the filters that are left. Nothing is rescaled.

    Returns:
        (hidden, D, kernel, kernel), (hidden, hidden, 1, 1) and (classes, hidden, 1, 1) weights, each with its bias.

    Raises:
        InputError: the weights have no fc6 to fc8, or the layers would have to grow.
    """
    if not classifier.has_global:
        raise InputError(
            "These weights have no fc6 to fc8 to start from: use backbone=vgg16 instead of vgg16_features."
        )
    fc6, fc7, fc8 = classifier.fc6, classifier.fc7, classifier.fc8
    taps = _spread(fc6.kernel_size[0], kernel)
    _require_fewer(fc6.out_channels, hidden, "filters in fc6 and fc7")
    filters = torch.arange(hidden) * fc6.out_channels // hidden
    return (
        (fc6.weight[filters][:, :, taps][..., taps], _bias(fc6)[filters]),
        (fc7.weight[filters][:, filters], _bias(fc7)[filters]),
        (fc8.weight[:, filters], _bias(fc8)),
    )


def label_rows(
    rows: WeightBias,
    *,
    class_names: Sequence[str],
    shared: Mapping[str, Sequence[int]],
    generator: torch.Generator,
    centred: bool = False,
    std: float = _STD,
) -> WeightBias:
    """Weight and bias of a last layer for L labels, background first (sec. 4.2.1).

    A class gets the mean of the classifier's rows that show it. Background, and a class that no row shows, is drawn
    from N(0, 0.1^2) with bias 0.

    Args:
        rows: the classifier's, (R, ...) and (R,).
        class_names: of the C = L - 1 foreground classes, in the order of their labels.
        shared: numbers of the rows that show a class, by its name.
        generator: draws all L rows, so that no row depends on what is shared.
        centred: take the mean of all R rows from each first: it tells no class from another.
        std: of what is drawn; 0.1 in the paper.
    """
    weight, bias = (each - each.mean(dim=0) for each in rows) if centred else rows
    size = (len(class_names) + 1, *weight.shape[1:])
    new_weight = torch.randn(size, generator=generator, dtype=weight.dtype) * std
    new_bias = torch.zeros(size[0], dtype=bias.dtype)
    for label, name in enumerate(class_names, start=1):
        if name in shared:
            numbers = list(shared[name])
            new_weight[label], new_bias[label] = weight[numbers].mean(dim=0), bias[numbers].mean()
    return new_weight, new_bias


def copy_layer(target: nn.Conv2d, layer: WeightBias) -> None:
    """Set a layer's weight and bias; shapes must agree."""
    weight, bias = layer
    target.load_state_dict({"weight": weight, "bias": bias})


def draw_layers(layers: nn.Sequential, generator: torch.Generator, *, gain: float) -> None:
    """Draw new layers from N(0, gain^2 / fan-in), the last one from N(0, 0.01^2) for even scores; biases are 0.

    `gain`: sqrt(2) keeps the size of activations from layer to layer (He et al., 2015).
    """
    weighted = [layer for layer in layers if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in weighted:
        std = LAST_STD if layer is weighted[-1] else gain * layer.weight[0].numel() ** -0.5
        nn.init.normal_(layer.weight, std=std, generator=generator)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)


def _spread(total: int, wanted: int) -> Tensor:
    _require_fewer(total, wanted, "taps per axis in fc6")
    if wanted == 1:
        return torch.tensor([total // 2])
    return torch.linspace(0, total - 1, wanted).round().long()


def _require_fewer(total: int, wanted: int, what: str) -> None:
    if not 1 <= wanted <= total:
        raise InputError(f"The segmenter asks for {wanted} {what}, but the weights have {total}: choose 1 to {total}.")


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
