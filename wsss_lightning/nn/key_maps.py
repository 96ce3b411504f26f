"""Weights of other libraries: the names that mmsegmentation and torchvision give to layers, and those of here.

docs/backbones.md has the same table. What a map does not name keeps its name; `states.load_weights` then says what does
not fit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

_BACKBONE = "backbone."  # of whole segmenters, whose heads are left out


@dataclass(frozen=True)
class KeyMap:
    """Names of one family of networks.

    Args:
        name: of the family, as the documentation has it.
        mark: a regular expression; a file is of the family if the beginning of one of its keys matches.
        renames: beginnings of keys as regular expressions, and what takes their place; the first that matches does.
    """

    name: str
    mark: str
    renames: tuple[tuple[str, str], ...]


KEY_MAPS = (
    KeyMap(
        "mmsegmentation's ResNetV1c and V1d",  # the last norm of their deep stem is timm's bn1
        r"stem\.[0-7]\.",
        ((r"stem\.7\.", "bn1."), (r"stem\.(\d)\.", r"conv1.\1.")),
    ),
    KeyMap(
        "mmsegmentation's VisionTransformer",
        r"layers\.\d+\.attn\.attn\.",
        (
            (r"patch_embed\.projection\.", "patch_embed.proj."),
            (r"layers\.(\d+)\.ln([12])\.", r"blocks.\1.norm\2."),
            (r"layers\.(\d+)\.attn\.attn\.in_proj_", r"blocks.\1.attn.qkv."),
            (r"layers\.(\d+)\.attn\.attn\.out_proj\.", r"blocks.\1.attn.proj."),
            (r"layers\.(\d+)\.ffn\.layers\.0\.0\.", r"blocks.\1.mlp.fc1."),
            (r"layers\.(\d+)\.ffn\.layers\.1\.", r"blocks.\1.mlp.fc2."),
            (r"ln1\.", "norm."),
        ),
    ),
    KeyMap(
        "torchvision's VisionTransformer",
        r"encoder\.layers\.encoder_layer_\d+\.",
        (
            (r"class_token", "cls_token"),
            (r"encoder\.pos_embedding", "pos_embed"),
            (r"conv_proj\.", "patch_embed.proj."),
            (r"encoder\.layers\.encoder_layer_(\d+)\.ln_([12])\.", r"blocks.\1.norm\2."),
            (r"encoder\.layers\.encoder_layer_(\d+)\.self_attention\.in_proj_", r"blocks.\1.attn.qkv."),
            (r"encoder\.layers\.encoder_layer_(\d+)\.self_attention\.out_proj\.", r"blocks.\1.attn.proj."),
            (r"encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:0|linear_1)\.", r"blocks.\1.mlp.fc1."),
            (r"encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:3|linear_2)\.", r"blocks.\1.mlp.fc2."),
            (r"encoder\.ln\.", "norm."),
        ),
    ),
)


def rename_keys(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """`state` by the names of `network`: of a whole segmenter its backbone alone, by the first `KeyMap` that it is of.

    A file that already has the network's names comes back as it is.
    """
    own, state = network.state_dict().keys(), dict(state)
    if not own & state.keys() and any(key.startswith(_BACKBONE) for key in state):
        state = {key.removeprefix(_BACKBONE): value for key, value in state.items() if key.startswith(_BACKBONE)}
    for known in KEY_MAPS:
        if any(re.match(known.mark, key) and key not in own for key in state):
            return {_renamed(key, known): value for key, value in state.items()}
    return state


def _renamed(key: str, known: KeyMap) -> str:
    for beginning, new in known.renames:
        if match := re.match(beginning, key):
            return match.expand(new) + key[match.end() :]
    return key
