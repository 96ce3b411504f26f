"""Class activation maps of a ViT with a class token, an adapter: its attention weights the patches that it looks at.

A class token's classifier looks at no patch. What the class token takes of each in the last block, its attention, says
where it looked; patch tokens weighted by it (Gao et al., 2021, TS-CAM, multiply the two likewise) have as their average
what a linear layer can tell tags by, and that layer's rows at each patch are the activation map, as of a CNN.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from wsss_lightning.errors import InputError


def attended(network: Any, look: Callable[[], list[Tensor]]) -> list[Tensor]:
    """The maps that `look` returns, the last weighted by the class token's attention in the network's last block.

    Weights are 1 on average, so that the weighted map's mean is the sum of its cells by attention.

    Raises:
        InputError: the last block's attention is not timm's plain one.
    """
    layer = network.blocks[-1].attn
    if not all(hasattr(layer, part) for part in ("qkv", "num_heads", "scale")):
        raise InputError(
            f"The attention of {type(network).__name__} is none that can be read: set backbone.class_token=ignored."
        )
    tokens: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: tokens.append(inputs[0]))
    try:
        *before, last = look()
    finally:
        hook.remove()
    weights = class_attention(layer, tokens[-1], prefix=network.num_prefix_tokens)
    cells = last.shape[-2] * last.shape[-1]
    return [*before, last * (cells * weights).to(last.dtype).view(len(last), 1, *last.shape[-2:])]


def class_attention(layer: Any, tokens: Tensor, *, prefix: int) -> Tensor:
    """What the first token takes of each patch, the mean over heads: tokens (N, T, D) -> (N, T - prefix), sum 1.

    Args:
        layer: timm's `Attention`.
        tokens: what it reads.
        prefix: tokens before the patches.
    """
    count, length, width = tokens.shape
    queries, keys, _ = (
        layer.qkv(tokens).reshape(count, length, 3, layer.num_heads, width // layer.num_heads).permute(2, 0, 3, 1, 4)
    )
    first = getattr(layer, "q_norm", torch.nn.Identity())(queries[:, :, :1]) * layer.scale
    products = first @ getattr(layer, "k_norm", torch.nn.Identity())(keys).transpose(-2, -1)
    patches: Tensor = products.float().softmax(dim=-1).mean(dim=1)[:, 0, prefix:]
    return patches / patches.sum(dim=-1, keepdim=True)
