"""Checkpoints of mmsegmentation and torchvision under our names; functions must come out equal, not only names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import VisionTransformer
from torchvision.models import resnet18 as torchvision_resnet18
from torchvision.models.segmentation import fcn_resnet50

from wsss_lightning.errors import InputError
from wsss_lightning.nn.class_activation import shared_rows
from wsss_lightning.nn.deeplab_trunk import deeplab_trunk
from wsss_lightning.nn.key_maps import KEY_MAPS, rename_keys
from wsss_lightning.nn.resnet import resnet18, resnet50
from wsss_lightning.nn.seeds import seeded
from wsss_lightning.nn.states import load_weights

DOCS = (Path(__file__).parents[2] / "docs" / "backbones.md").read_text(encoding="utf-8")


def test_a_segmenters_backbone_is_taken_without_its_heads(tmp_path: Path) -> None:
    """As torchvision and mmsegmentation save them: `backbone.`, heads beside it, and in mmsegmentation no fc."""
    with seeded(1):
        whole = fcn_resnet50(weights=None, weights_backbone=None, aux_loss=True)
    torch.save({"meta": {"epoch": 3}, "state_dict": whole.state_dict()}, tmp_path / "fcn.pth")
    backbone = resnet50(str(tmp_path / "fcn.pth"))
    own = backbone.network.state_dict()
    assert all(torch.equal(own[key], value) for key, value in whole.backbone.state_dict().items())
    generator = torch.Generator()
    for start in (
        lambda: shared_rows(backbone, ["cat"], generator),
        lambda: deeplab_trunk(backbone, class_names=["cat"], generator=generator, kernel=1, dilation=1),
    ):
        with pytest.raises(InputError, match=r"These weights have no classifier \(fc\) to start from: take"):
            start()
    deeplab_trunk(backbone, class_names=["cat"], generator=generator, kernel=1, dilation=1, hidden=4)


def test_what_does_not_fit_is_named_by_its_first_key(tmp_path: Path) -> None:
    state = {f"backbone.{key}": value for key, value in torchvision_resnet18().state_dict().items()}
    deep = {"backbone.stem.0.weight": torch.ones(1), **state, "decode_head.conv_seg.weight": torch.ones(1)}
    del deep["backbone.conv1.weight"]
    torch.save(deep, tmp_path / "v1c.pth")
    with pytest.raises(InputError, match=r"does not fit ResNet, it lacks conv1\.weight; conv1\.0\.weight fits"):
        resnet18(str(tmp_path / "v1c.pth"))


def test_a_file_with_the_networks_own_names_stays_as_it_is() -> None:
    network = nn.ModuleDict({"backbone": nn.Linear(1, 1), "stem": nn.ModuleList([nn.Linear(1, 1)])})
    assert rename_keys(network.state_dict(), network).keys() == network.state_dict().keys()


def test_every_map_is_documented() -> None:
    assert all(known.name in DOCS for known in KEY_MAPS)


def _as_mmsegmentation(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's deep-stem ResNet as mmsegmentation names it: one sequence of convolutions, norms and ReLUs."""
    stem = {f"conv1.{place}.": f"stem.{place}." for place in (0, 1, 3, 4, 6)} | {"bn1.": "stem.7."}
    names = {
        key: next((new + key[len(old) :] for old, new in stem.items() if key.startswith(old)), key) for key in state
    }
    return {f"backbone.{names[key]}": value for key, value in state.items()}


def test_the_deep_stem_of_mmsegmentation_is_timms() -> None:
    timm = pytest.importorskip("timm")
    with seeded(2):
        network, other = timm.create_model("resnet50c", num_classes=0), timm.create_model("resnet50c", num_classes=0)
    load_weights(other, rename_keys(_as_mmsegmentation(network.state_dict()), other), source="v1c")
    images = torch.randn(1, 3, 32, 32)
    assert torch.equal(network.eval()(images), other.eval()(images))


def _vit(timm_name: str) -> nn.Module:
    timm = pytest.importorskip("timm")
    made: nn.Module = timm.create_model(timm_name, num_classes=0, img_size=32, depth=2)
    return made.eval()


def test_torchvisions_vit_computes_the_same_as_timms() -> None:
    with seeded(3):
        theirs = VisionTransformer(
            image_size=32, patch_size=16, num_layers=2, num_heads=3, hidden_dim=192, mlp_dim=768, num_classes=5
        ).eval()
        nn.init.normal_(theirs.conv_proj.bias)
    ours, images = _vit("vit_tiny_patch16_224"), torch.randn(2, 3, 32, 32)
    load_weights(ours, rename_keys(theirs.state_dict(), ours), source="torchvision")
    theirs.heads = nn.Identity()
    torch.testing.assert_close(ours(images), theirs(images), atol=1e-5, rtol=1e-4)


def test_mmsegmentations_vit_is_renamed_layer_by_layer() -> None:
    """mmsegmentation is not here: its names, as its `mmseg/models/backbones/vit.py` builds them, by hand."""
    ours = _vit("vit_tiny_patch16_224")
    theirs = {}
    pairs = [("patch_embed.proj.", "patch_embed.projection."), ("norm.", "ln1.")]
    for block in range(2):
        parts = {"norm1": "ln1", "norm2": "ln2", "attn.proj": "attn.attn.out_proj", "mlp.fc1": "ffn.layers.0.0"}
        parts |= {"mlp.fc2": "ffn.layers.1"}
        pairs += [(f"blocks.{block}.{own}.", f"layers.{block}.{name}.") for own, name in parts.items()]
        pairs.append((f"blocks.{block}.attn.qkv.", f"layers.{block}.attn.attn.in_proj_"))
    for key, value in ours.state_dict().items():
        name = next((new + key.removeprefix(old) for old, new in pairs if key.startswith(old)), key)
        theirs[f"backbone.{name}"] = value + 1
    assert "backbone.layers.1.attn.attn.in_proj_weight" in theirs and "backbone.cls_token" in theirs
    back = rename_keys({**theirs, "decode_head.weight": torch.ones(1)}, ours)
    assert back.keys() == ours.state_dict().keys()
    assert all(torch.equal(back[key], value + 1) for key, value in ours.state_dict().items())
