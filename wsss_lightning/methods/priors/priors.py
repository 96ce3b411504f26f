"""Built-in foreground and class priors out of a pretrained network's activations (priors sec. 3.1)."""

from typing import Literal

import torch
from torch import Tensor

from wsss_lightning.ops.resize import resize_maps

Negatives = Literal["clip", "shift"]


def fuse(conv4: Tensor, conv5: Tensor, size: tuple[int, int]) -> Tensor:
    """Foreground probability P_f: both layers' mean over channels, resized, added and scaled to 0..1 (sec. 3.1.1).

    Args:
        conv4: activations of the fourth block, (N, K, h, w).
        conv5: those of the fifth, (N, K', h', w').
        size: H and W of the result, the input image's.

    Returns:
        (N, H, W), with minimum 0 and maximum 1 in each image; 0 everywhere where the sum is constant.
    """
    total = sum(resize_maps(maps.mean(dim=1, keepdim=True), size)[:, 0] for maps in (conv4, conv5))
    assert isinstance(total, Tensor)
    low, high = total.amin(dim=(1, 2), keepdim=True), total.amax(dim=(1, 2), keepdim=True)
    return _ratio(total - low, high - low)


def class_activation_maps(features: Tensor, weights: Tensor) -> Tensor:
    """M_c = sum_k w_kc f_k (eq 1): f (N, K, h, w), w (C, K) of the linear layer behind the pooling -> (N, C, h, w)."""
    return torch.einsum("nkhw,ck->nchw", features, weights)


def scale_activation_maps(cams: Tensor, *, negatives: Negatives = "clip") -> Tensor:
    """M_c brought to 0..1, each map by itself, as eqs 3 and 4 need it and the paper does not say.

    Args:
        cams: (C, H, W), any range.
        negatives: "clip" sets evidence against a class to 0 and divides by the maximum, so that 0 keeps its meaning;
            "shift" subtracts the minimum first, so that some pixel of each map is 0.

    Returns:
        (C, H, W); 0 everywhere where a map has no positive value, or under "shift" is constant.
    """
    low = cams.amin(dim=(1, 2), keepdim=True) if negatives == "shift" else torch.zeros_like(cams[:, :1, :1])
    risen = (cams - low).clamp_min(0)
    return _ratio(risen, risen.amax(dim=(1, 2), keepdim=True))


def combine(
    fusion: Tensor,
    cams: Tensor,
    alpha: float = 0.5,
    threshold: float = 0.2,
    *,
    negatives: Negatives = "clip",
    normalise: bool = True,
    peaks: bool = False,
    background: float | None = None,
) -> Tensor:
    """Label probabilities from the fused activations and the class activation maps (eqs 2-5).

    B_c = [M_c > t max M_c], Q_c = P_f B_c, P_c = a Q_c + (1 - a) M_c, M_0 = 1 - mean_c M_c and
    P_0 = a (1 - P_f) + (1 - a) M_0.

    Args:
        fusion: P_f, (H, W) in 0..1.
        cams: M_c of the classes that C of eq 4 counts, (C, H, W) with C >= 1: those of the image's tags, or all.
        alpha: a, weight of the fusion (sec. 3.1.2: 0.5).
        threshold: t, as a fraction of each map's maximum (sec. 3.1.2: 0.2).
        negatives: see `scale_activation_maps`.
        normalise: divide by the sum over labels, "normalized to obtain a probability".
        peaks: divide each P_c by its maximum over the image first, which the fusion lowers; not the paper's.
        background: P_0, a constant in the place of eqs 4 and 5; not the paper's. None for these.

    Returns:
        (C + 1, H, W) in 0..1, background first.

    Raises:
        ValueError: no class, or maps of another size than the fusion.
    """
    if cams.ndim != 3 or len(cams) < 1 or cams.shape[1:] != fusion.shape:
        raise ValueError(f"need maps (C, H, W) of the fusion's size {tuple(fusion.shape)}, not {tuple(cams.shape)}")
    scaled = scale_activation_maps(cams, negatives=negatives)
    truncated = fusion * (scaled > threshold)  # a map's maximum is 1 now, or the map is 0
    classes = alpha * truncated + (1 - alpha) * scaled
    if peaks:
        classes = _ratio(classes, classes.amax(dim=(1, 2), keepdim=True))
    rest = alpha * (1 - fusion) + (1 - alpha) * (1 - scaled.mean(dim=0))
    if background is not None:
        rest = torch.full_like(fusion, background)
    labels = torch.cat([rest[None], classes])
    return _ratio(labels, labels.sum(dim=0, keepdim=True)) if normalise else labels


def _ratio(values: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, values / whole.where(whole > 0, 1.0), 0.0)
