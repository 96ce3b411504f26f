"""timm's networks as backbones, with random weights: what `feature_info` says is what comes out."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wsss_lightning.errors import InputError
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.class_attention import class_attention
from wsss_lightning.nn.description import build, describe
from wsss_lightning.nn.resnet import resnet18
from wsss_lightning.nn.seeds import seeded
from wsss_lightning.nn.timm_backbone import TimmBackbone, timm_backbone
from wsss_lightning.nn.trunk import Learning, Trunk, Variant

timm = pytest.importorskip("timm")
VIT = "vit_tiny_patch16_224"
HALF = (0.5, 0.5, 0.5)
NAMES = ("resnet18", "mobilenetv3_small_050", "convnext_atto", VIT)


def made(name: str, weights: str | None = None, class_token: Any = "ignored", mean: Any = HALF) -> TimmBackbone:
    with seeded(0):
        return timm_backbone(name=name, weights=weights, class_token=class_token, mean=mean, std=HALF)


def images(*size: int) -> Tensor:
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NAMES)
def test_maps_have_the_channels_and_trunks_the_stride_that_are_told(name: str) -> None:
    backbone = made(name)
    features = backbone.features(images(64, 84))
    assert [maps.shape[1] for maps in features.maps] == [*backbone.channels]
    torch.testing.assert_close(features.pooled, features.maps[-1].mean(dim=(2, 3)))
    assert backbone.features(images(64, 84), with_global=False).pooled.shape == (1, 0)
    assert all((part[0] >= 0).all() for part in backbone.blocks(images(64, 84)))
    for stride in (16, 8):
        trunk = Trunk(made(name), stride=stride)
        for scale in (0.5, 1.0):
            seen = trunk.look(images(70, 100), Variant(scale))
            grid = trunk.grid((70, 100), scale)
            assert [maps.shape for maps in seen] == [(1, width, *grid) for width in trunk.channels]


def test_a_resnet_of_timm_is_torchvisions(tmp_path: Path) -> None:
    with seeded(0):
        ours = resnet18(None)
    torch.save(ours.network.state_dict(), tmp_path / "resnet18.pth")
    same = made("resnet18", str(tmp_path / "resnet18.pth"))
    for one, other in zip(ours.features(images(64, 84)).maps[1:], same.features(images(64, 84)).maps[1:], strict=True):
        torch.testing.assert_close(one, other)
    for stride in (16, 8):  # dilated alike, and its cells lie alike
        first, second = Trunk(resnet18(str(tmp_path / "resnet18.pth")), stride=stride), Trunk(same, stride=stride)
        same = made("resnet18", str(tmp_path / "resnet18.pth"))
        assert first.corners and second.corners
        for one, other in zip(*(trunk.look(images(50, 83), Variant(0.5)) for trunk in (first, second)), strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "convnext_atto"])
def test_mirror_images_of_a_symmetric_network_have_mirrored_maps_so_that_no_cell_is_shifted(name: str) -> None:
    backbone = made(name)
    for layer in backbone.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = (layer.weight + layer.weight.flip(-1)) / 2
    trunk = Trunk(made(name))
    trunk.backbone.load_state_dict(backbone.state_dict())
    plain, mirrored = trunk.look(images(50, 83), Variant()), trunk.look(images(50, 83), Variant(mirrored=True))
    for one, other in zip(plain, mirrored, strict=True):
        torch.testing.assert_close(one, other.flip(-1), atol=1e-3, rtol=1e-3)


def test_maps_of_a_vit_are_its_patches_behind_the_last_norm() -> None:
    backbone, whole = made(VIT), timm.create_model(VIT, num_classes=0, dynamic_img_size=True).eval()
    whole.load_state_dict(backbone.network.state_dict())
    tokens = whole.forward_features(images(64, 96))[:, 1:]  # without the class token
    maps = backbone.features(images(64, 96)).maps
    assert len(maps) == 4
    torch.testing.assert_close(maps[-1].flatten(2).transpose(1, 2), tokens)
    assert backbone.features(images(60, 100)).maps[-1].shape[-2:] == (4, 6), "resized to whole patches"


def test_attention_weights_the_patches_by_what_the_class_token_takes_of_them() -> None:
    plain, attending = (
        made("deit_tiny_distilled_patch16_224"),
        made("deit_tiny_distilled_patch16_224", None, "attention"),
    )
    before, after = (each.last_maps(images(32, 48), (2, 3)) for each in (plain, attending))
    torch.testing.assert_close(before[0], after[0])
    layer = plain.network.blocks[-1].attn
    layer.fused_attn, seen = False, []
    with_hook = layer.attn_drop.register_forward_hook(lambda *arguments: seen.append(arguments[-1]))
    plain.last_maps(images(32, 48), (2, 3))
    with_hook.remove()
    patches = seen[0].mean(dim=1)[:, 0, 2:]  # behind the class token and the distillation token
    weights = patches / patches.sum(dim=1, keepdim=True)
    torch.testing.assert_close(after[1].flatten(2), before[1].flatten(2) * weights[:, None] * 6)
    pooled = torch.einsum("nd,ncd->nc", weights, before[1].flatten(2))
    torch.testing.assert_close(after[1].mean(dim=(2, 3)), pooled, msg="the average is the sum by attention")


def test_even_attention_is_the_same_for_every_patch() -> None:
    layer = made(VIT).network.blocks[-1].attn
    nn.init.zeros_(layer.qkv.weight)
    torch.testing.assert_close(class_attention(layer, torch.randn(1, 7, 192), prefix=3), torch.full((1, 4), 0.25))


def test_attention_of_another_kind_is_named() -> None:
    backbone = made("vit_tiny_patch16_224", None, "attention")
    del backbone.network.blocks[-1].attn.qkv
    with pytest.raises(InputError, match=r"cannot|can be read: set backbone\.class_token=ignored"):
        backbone.last_maps(images(32, 32), (2, 2))
    assert not made("resnet18", None, "attention").attends, "without a class token nothing is done"


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", VIT])
@pytest.mark.parametrize("learning", ["last", "all"])
def test_what_learns_gets_gradients(name: str, learning: Learning) -> None:
    trunk = Trunk(made(name), learning=learning).train()
    trunk.look(images(64, 64), Variant())[1].sum().backward()
    assert all(parameter.grad is not None for parameter in trunk.learnable())
    assert not any(module.training for module in trunk.backbone.modules())
    names = {name for name, parameter in trunk.named_parameters() if parameter.requires_grad}
    assert names and (learning == "all") == any("patch_embed" in name or "conv_stem" in name for name in names)


def test_a_last_map_without_weights_is_named() -> None:
    backbone = made("resnet18")
    backbone.before_last = "layer4"
    with pytest.raises(InputError, match="resnet18 has no weights of its own: take trunk frozen or all"):
        Trunk(backbone, learning="last")


def test_a_description_builds_the_same_network_without_its_weights(tmp_path: Path) -> None:
    backbone = made(VIT, None, "attention")
    torch.save(backbone.network.state_dict(), tmp_path / "vit.pth")
    again: Backbone = build(describe(made(VIT, str(tmp_path / "vit.pth"), "attention")))
    assert isinstance(again, TimmBackbone) and again.attends
    again.load_state_dict(backbone.state_dict())
    assert torch.equal(again.last_maps(images(32, 32), (2, 2))[1], backbone.last_maps(images(32, 32), (2, 2))[1])


def test_what_is_wrong_is_named_with_its_remedy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InputError, match="timm has no model resnet1x: take resnet18 or"):
        made("resnet1x")
    with pytest.raises(InputError, match="class_token=mean: choose ignored or attention"):
        made("resnet18", None, "mean")
    with pytest.raises(InputError, match=r"no file .*none\.pth: give one, pretrained or null as backbone\.weights"):
        made("resnet18", str(tmp_path / "none.pth"))
    torch.save({"layer1.weight": torch.ones(1)}, tmp_path / "a.pth")
    with pytest.raises(
        InputError, match=r"a\.pth does not fit ResNet, it lacks conv1\.weight \(and \d+ more\); layer1"
    ):
        made("resnet18", str(tmp_path / "a.pth"))
    torch.save(made("resnet18").network.state_dict(), tmp_path / "b.pth")
    made("resnet18", str(tmp_path / "b.pth"))
    assert "'backbone.mean=[0.485, 0.456, 0.406]'" in caplog.text, "a file's statistics are told apart, not refused"


def test_published_weights_that_cannot_be_had_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def offline(name: str, pretrained: bool = False, **options: Any) -> nn.Module:
        if pretrained and name == VIT:
            raise FileNotFoundError("we cannot find the requested files")
        return create(name, **options)

    monkeypatch.setattr("timm.create_model", offline)
    with pytest.raises(
        InputError, match=r"could not be had \(we cannot.*\): give a file as backbone\.weights=FILE, or"
    ):
        made(VIT, "pretrained")
    with pytest.raises(InputError, match=r"resnet18 expect other RGB statistics: set 'backbone\.mean=\[0\.485"):
        made("resnet18", "pretrained")


def test_without_timm_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"pip install 'wsss-lightning\[timm\]'"):
        made("resnet18")


def test_what_cannot_be_dilated_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="wsss_lightning")
    Trunk(made("convnext_atto"))
    assert "convnext_atto is not dilated to a stride of 16 px: its last maps are enlarged" in caplog.text
