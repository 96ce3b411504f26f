from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import nn
from torchvision.models import VGG16_Weights
from torchvision.models import vgg16 as torchvision_vgg16

from wsss_lightning.errors import InputError
from wsss_lightning.nn import vgg
from wsss_lightning.nn.vgg import VGG, fold_batch_norm, from_torchvision, tiny, vgg16

SHIPPED = Path(vgg.__file__).parent / "weights" / "tiny.safetensors"


def small(*, normalise: bool = False) -> VGG:
    torch.manual_seed(0)
    return VGG(widths=(4, 6, 8, 8, 8), fc6_kernel=2, hidden=10, num_classes=5, normalise=normalise)


def test_vgg16_gives_the_papers_4224_dimensions_and_4096_global_ones() -> None:
    with torch.device("meta"):
        network = VGG(widths=(64, 128, 256, 512, 512), fc6_kernel=7, hidden=4096, num_classes=1000)
        features = network.features(torch.empty(1, 3, 256, 336))
    assert sum(network.channels) == 4224  # points sec. 4.1
    assert [m.shape[1] for m in features.maps] == list(network.channels)
    assert 4224 + features.pooled.shape[1] == 8320  # points sec. 4.1: the classifier's input


@pytest.mark.parametrize("name", vgg.SMALLEST)
def test_images_have_a_least_size_for_fc6(name: str) -> None:
    with torch.device("meta"):
        taps = (vgg16(None) if name == "vgg16" else tiny(None, 20)).fc6.kernel_size[0]
    least, thin = vgg.SMALLEST[name], VGG(widths=(1, 1, 1, 1, 1), fc6_kernel=taps, hidden=2, num_classes=1)
    assert thin.features(torch.zeros(1, 3, least, least)).pooled.shape == (1, 2)
    with pytest.raises(RuntimeError, match="Kernel size"):
        thin.features(torch.zeros(1, 3, least, least - 1))


def test_maps_are_pooled_where_a_pool_follows() -> None:
    heights = [m.shape[2] for m in small().features(torch.zeros(1, 3, 64, 64)).maps]
    assert heights == [64, 32, 32, 16, 16, 16, 8, 8, 8, 4, 4, 4, 2]


def test_same_function_as_torchvision() -> None:
    reference = torchvision_vgg16(init_weights=False).eval()
    with torch.device("meta"):
        network = VGG(widths=(64, 128, 256, 512, 512), fc6_kernel=7, hidden=4096, num_classes=1000)
    network.load_state_dict(from_torchvision(reference.state_dict()), assign=True)
    image = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(image), reference(image), rtol=1e-4, atol=1e-5)


def test_folding_batch_norm_keeps_the_function() -> None:
    network = small(normalise=True)
    with torch.no_grad():
        for norm in network.norms:
            assert isinstance(norm, nn.BatchNorm2d)
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
            norm.weight.uniform_(0.5, 2)
            norm.bias.uniform_(-1, 1)
    image = torch.randn(2, 3, 64, 64)
    folded = fold_batch_norm(network.eval())
    torch.testing.assert_close(folded(image), network(image), rtol=1e-4, atol=1e-5)
    assert not any("norm" in key for key in folded.state_dict())


def test_shipped_weights_are_small_and_plain() -> None:
    assert SHIPPED.stat().st_size <= 2_000_000
    network = tiny(str(SHIPPED), num_classes=20)
    assert set(network.state_dict()) == set(tiny(None, num_classes=20).state_dict())
    assert torch.isfinite(network(torch.randn(1, 3, 128, 128))).all()


def test_a_frozen_backbone_has_no_gradients() -> None:
    network = tiny(None, num_classes=20)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_caffe_convolutions_are_refused_where_fc7_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {f"features.{k}": v for k, v in torchvision_vgg16(init_weights=False).features.state_dict().items()}
    for layer, shape in (("0", (4096, 25088)), ("3", (4096, 4096)), ("6", (1000, 4096))):
        state[f"classifier.{layer}.weight"] = torch.full((1, 1), torch.nan).expand(shape)
        state[f"classifier.{layer}.bias"] = torch.full((shape[0],), torch.nan)
    monkeypatch.setattr(vgg, "read_state", lambda *_: state)
    network = vgg16("IMAGENET1K_FEATURES")
    assert network.mean == pytest.approx((0.48235, 0.45882, 0.40784))
    assert network.std == pytest.approx((1 / 255,) * 3)
    with pytest.raises(InputError, match="fc6 and fc7"):
        network.require_global()


def test_weights_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no weights .*gone\.pth.*IMAGENET1K_V1"):
        tiny(str(tmp_path / "gone.pth"), num_classes=20)


def test_weights_of_another_network(tmp_path: Path) -> None:
    torch.save(small().state_dict(), tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.pth does not fit VGG"):
        tiny(str(tmp_path / "other.pth"), num_classes=20)


def test_damaged_weights(tmp_path: Path) -> None:
    (tmp_path / "broken.pth").write_bytes(b"not a state dict")
    with pytest.raises(InputError, match=r"broken\.pth cannot be read"):
        tiny(str(tmp_path / "broken.pth"), num_classes=20)


def test_without_a_network_the_message_says_where_the_file_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(VGG16_Weights, "get_state_dict", unreachable)
    with pytest.raises(InputError, match=r"put the file at .*vgg16-397923af\.pth"):
        vgg16("IMAGENET1K_V1")
