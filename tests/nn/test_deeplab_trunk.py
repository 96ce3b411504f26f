import pytest
import torch
from torch import Tensor

from wsss_lightning.errors import InputError
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.deeplab import deeplab_resnet
from wsss_lightning.nn.deeplab_trunk import DeepLabTrunk, deeplab_trunk
from wsss_lightning.nn.resnet import resnet18
from wsss_lightning.nn.seeds import seeded
from wsss_lightning.nn.trunk import Learning, Variant
from wsss_lightning.nn.vgg import tiny

NAMES = ("cat", "person")
IMAGE = (50, 83)


def backbone(name: str = "resnet") -> Backbone:
    with seeded(0):
        return resnet18(None) if name == "resnet" else tiny(None, 20)


def make(name: str = "resnet", *, hidden: int = 0, trunk: Learning = "frozen", dilation: int = 6) -> DeepLabTrunk:
    generator = torch.Generator().manual_seed(0)
    own = {"kernel": 3, "dilation": dilation, "hidden": hidden, "trunk": trunk}
    return deeplab_trunk(backbone(name), class_names=NAMES, generator=generator, **own)  # type: ignore[arg-type]


def images(size: tuple[int, int] = IMAGE) -> Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "hidden"), [("resnet", 0), ("resnet", 8), ("vgg", 8)])
def test_logits_have_the_size_of_images_of_any_size(name: str, hidden: int) -> None:
    network = make(name, hidden=hidden).eval()
    assert network(images()).shape == (2, 3, *IMAGE)
    coarse, size = network.look(images())
    assert size == network.backbone.image_size(IMAGE) and coarse.shape[-2:] == network.backbone.grid(IMAGE)
    assert network.enlarge(coarse, size).shape[-2:] == size


def test_at_the_start_every_cell_is_enlarged_to_where_it_looked() -> None:
    network = make().eval()
    coarse, size = network.look(images())
    torch.testing.assert_close(network.enlarge(coarse, size), network.backbone.enlarge(coarse, size))


def test_stored_maps_give_what_images_give() -> None:
    network = make(hidden=8).eval()
    shallow, deep = network.backbone.look(images(), Variant())
    torch.testing.assert_close(network.scores({"shallow": shallow, "deep": deep}), network.look(images())[0])
    assert network.size_of(deep) == network.backbone.image_size(IMAGE)
    assert network.layers == ["shallow", "deep"] and make().layers == ["deep"]


def test_a_field_of_view_beyond_a_small_map_takes_nothing_from_the_classifiers_scores() -> None:
    """Of a constant map every place, at the border too, has the score of the shared rows."""
    network = make(dilation=6).eval()
    with seeded(0):
        linear = resnet18(None).network.fc
    maps = torch.rand(1, 512, 1, 1).expand(1, 512, 4, 5)
    scores = network.scores({"deep": maps})
    cat = linear.weight[281:286].mean(dim=0) @ maps[0, :, 0, 0] + linear.bias[281:286].mean()
    torch.testing.assert_close(scores[0, 1], cat.expand(4, 5), rtol=1e-4, atol=1e-4)
    own = {"class_names": NAMES, "kernel": 3, "dilation": 12}
    for border, same in (("replicate", True), ("zeros", False)):
        plain = deeplab_resnet(backbone(), generator=torch.Generator(), border=border, **own)  # type: ignore[arg-type]
        assert torch.allclose(plain.fc8(maps)[0, 1], cat.expand(4, 5), atol=1e-4) == same


LEARNING = [("frozen", False, False), ("last", True, False), ("all", True, True)]


@pytest.mark.parametrize(("trunk", "block4", "block1"), LEARNING)
def test_of_the_trunk_learns_what_is_said(trunk: Learning, block4: bool, block1: bool) -> None:
    network = make(trunk=trunk)
    network(images()).sum().backward()
    net = network.backbone.backbone.network
    assert isinstance(net.layer4, torch.nn.Module) and isinstance(net.layer1, torch.nn.Module)
    assert all((p.grad is not None) == block4 for p in net.layer4.parameters())
    assert all((p.grad is not None) == block1 for p in net.layer1.parameters())
    assert network.fc8.weight.grad is not None and network.upsampling.weight.grad is not None


def test_a_classifier_that_does_not_look_at_the_last_map_is_refused() -> None:
    with pytest.raises(InputError, match=r"The classifier of .* does not look at its last map: give hidden=256"):
        make("vgg")
