from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.resnet import ResNet as TorchvisionResNet

from wsss_lightning.errors import InputError
from wsss_lightning.nn import vgg
from wsss_lightning.nn.deeplab import STRIDE, Border, DeepLab, DeepLabResNet, DeepLabVGG, deeplab_resnet, deeplab_vgg
from wsss_lightning.nn.resnet import ResNet
from wsss_lightning.nn.vgg import VGG, tiny

CLASSES = ("cat", "person", "train")
TINY_CLASSES = 20
# DeepLab's variants (Chen et al., 2015, table 2), then those of `tiny`: kernel, dilation, field of view, in px, and
# the receptive field of the whole network, "in convolutional mode".
FIELDS = [(7, 4, 224, 404), (4, 4, 128, 308), (4, 8, 224, 404), (3, 12, 224, 404), (2, 4, 64, 244), (3, 4, 96, 276)]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def narrow(*, width: int = 8, fc6_kernel: int = 3, hidden: int = 12, num_classes: int = 1000) -> VGG:
    torch.manual_seed(0)
    network = VGG(widths=(width,) * 5, fc6_kernel=fc6_kernel, hidden=hidden, num_classes=num_classes)
    for layer in (*network.convolutions, network.fc6, network.fc7):
        nn.init.kaiming_normal_(layer.weight)  # keeps activations as large as the image
        nn.init.constant_(layer.bias, 0.1)
    return network.eval()


def segmenter(
    classifier: VGG | None = None,
    *,
    fc6_kernel: int = 3,
    fc6_dilation: int = 4,
    hidden: int = 12,
    border: Border = "zeros",
) -> DeepLabVGG:
    network = deeplab_vgg(
        classifier or narrow(),
        class_names=CLASSES,
        generator=seeded(),
        fc6_kernel=fc6_kernel,
        fc6_dilation=fc6_dilation,
        hidden=hidden,
        dropout=0.5,
        border=border,
    )
    return network.eval()


def basic() -> ResNet:
    torch.manual_seed(0)
    return ResNet(TorchvisionResNet(BasicBlock, [1, 1, 2, 2])).eval()


def bottleneck() -> ResNet:
    torch.manual_seed(0)
    return ResNet(TorchvisionResNet(Bottleneck, [1, 1, 2, 2], width_per_group=4)).eval()


def residual(make: Callable[[], ResNet] = bottleneck, *, kernel: int = 1, dilation: int = 1) -> DeepLabResNet:
    network = deeplab_resnet(make(), class_names=CLASSES, generator=seeded(), kernel=kernel, dilation=dilation)
    return network.eval()


@pytest.mark.parametrize("make", [segmenter, residual])
@pytest.mark.parametrize("size", [(64, 96), (75, 33), (1, 8), (41, 130)])
def test_scores_have_the_size_of_the_image(make: Callable[[], DeepLab], size: tuple[int, int]) -> None:
    network = make()
    assert network(torch.randn(2, 3, *size)).shape == (2, 4, *size)


@pytest.mark.parametrize(("border", "same"), [("replicate", True), ("zeros", False)])
def test_of_a_constant_map_every_place_has_one_score_where_taps_beyond_it_read_the_nearest_cell(
    monkeypatch: pytest.MonkeyPatch, border: Border, same: bool
) -> None:
    network = segmenter(fc6_dilation=2, border=border)
    monkeypatch.setattr(network, "last_map", lambda _: torch.ones(1, 8, 4, 5))
    scores = network.coarse_scores(torch.zeros(1, 3, 32, 40))
    assert torch.allclose(scores, scores[..., :1, :1].expand_as(scores), atol=1e-5) == same


@pytest.mark.parametrize("make", [segmenter, residual])
def test_output_stride_is_8(make: Callable[[], DeepLab]) -> None:
    assert make().coarse_scores(torch.randn(1, 3, 64, 96)).shape == (1, 4, 8, 12)


@pytest.mark.parametrize("make", [segmenter, residual])
def test_padding_to_a_multiple_of_8_repeats_the_border(make: Callable[[], DeepLab]) -> None:
    network, image = make(), torch.randn(1, 3, 35, 61)
    padded = F.pad(image, (0, 3, 0, 5), mode="replicate")
    torch.testing.assert_close(network(image), network(padded)[..., :35, :61])


def test_parameters_of_both_variants_are_as_many_as_deeplab_counts() -> None:
    """65.1 and 20.5 million (Chen et al., 2015, table 2), but for the up-sampling."""
    counts = []
    for fc6_kernel, fc6_dilation, hidden in ((4, 4, 4096), (3, 12, 1024)):
        with torch.device("meta"):
            network = DeepLabVGG(
                VGG(widths=(64, 128, 256, 512, 512), fc6_kernel=7, hidden=4096, num_classes=1000),
                fc6_kernel=fc6_kernel,
                fc6_dilation=fc6_dilation,
                hidden=hidden,
                num_labels=21,
                dropout=0.5,
            )
            assert network(torch.empty(1, 3, 321, 500)).shape == (1, 21, 321, 500)
        counts.append(sum(parameter.numel() for parameter in network.parameters()) - 21 * 16 * 16)
    assert [round(count / 1e6, 1) for count in counts] == [65.1, 20.5]


# Where a dropped stride must change nothing: an index of the classifier's maps is every 4th one here.


def test_blocks_before_the_change_equal_the_classifiers() -> None:
    classifier, image = narrow(), torch.randn(1, 3, 96, 64)
    expected = [m for block in classifier.blocks(image)[:4] for m in block]
    found = [m for block in segmenter(classifier).backbone.blocks(image)[:4] for m in block]
    assert all(torch.equal(*pair) for pair in zip(expected, found, strict=True))


def test_fifth_pool_equals_the_classifiers_at_every_fourth_position() -> None:
    classifier, image = narrow(), torch.randn(1, 3, 128, 96)
    expected = classifier.layers(image)[-1]
    assert expected.shape[2:] == (4, 3) and (expected > 0).any()
    torch.testing.assert_close(segmenter(classifier).last_map(image)[..., 1::4, 1::4], expected)


@pytest.mark.parametrize("fc6_kernel, first", [(2, 3), (3, 5)])
def test_scores_equal_the_classifiers_where_fc6_saw_the_same(fc6_kernel: int, first: int) -> None:
    """All fc6's taps and all filters, and classes that have one row each: the logits themselves."""
    classifier, image = narrow(fc6_kernel=fc6_kernel, num_classes=4), torch.randn(1, 3, 160, 192)
    classifier.shared = {name: (row,) for row, name in enumerate(CLASSES)}
    expected = classifier.fc8(classifier.fc7_map(classifier.layers(image)[-1]))[:, :3]
    found = segmenter(classifier, fc6_kernel=fc6_kernel).coarse_scores(image)[:, 1:]
    height, width = expected.shape[2:]
    torch.testing.assert_close(found[..., first::4, first::4][..., :height, :width], expected)


@pytest.mark.parametrize("make", [basic, bottleneck])
def test_residual_stages_equal_the_classifiers_at_every_fourth_position(make: Callable[[], ResNet]) -> None:
    image = torch.randn(1, 3, 96, 64)
    expected, found = make().features(image).maps, residual(make).backbone.features(image).maps
    for index, step in ((2, 1), (3, 2), (4, 4)):
        torch.testing.assert_close(found[index][..., ::step, ::step], expected[index], rtol=1e-4, atol=1e-4)


def test_a_wide_last_layer_starts_as_the_classifier_on_the_mean_of_what_it_reads() -> None:
    image = torch.randn(1, 3, 64, 64)
    one, nine = residual(kernel=1), residual(kernel=3, dilation=2)
    scores = one.coarse_scores(image)
    bias = one.fc8.bias[:, None, None]
    expected = torch.stack([scores[..., r : r + 4, c : c + 4] - bias for r in (0, 2, 4) for c in (0, 2, 4)]).mean(dim=0)
    torch.testing.assert_close(nine.coarse_scores(image)[..., 2:6, 2:6], expected + bias)


# Up-sampling.


@pytest.mark.parametrize("make, centre", [(segmenter, 7.5), (residual, 0.0)])
def test_up_sampling_starts_as_interpolation_between_the_points_that_scores_belong_to(
    make: Callable[[], DeepLab], centre: float
) -> None:
    network, scores = make(), torch.randn(2, 4, 5, 7)
    found = network.upsampling(scores)
    assert found.shape == (2, 4, 40, 56)
    rows, columns = ((torch.arange(8.0 * size) - centre) / 8 for size in (5, 7))
    x, y = torch.meshgrid(2 * columns / 6 - 1, 2 * rows / 4 - 1, indexing="xy")
    grid = torch.stack([x, y], dim=-1).expand(2, -1, -1, -1)
    expected = F.grid_sample(scores, grid, mode="bilinear", padding_mode="border", align_corners=True)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_labels_are_up_sampled_by_their_own_kernels() -> None:
    network, scores = segmenter(), torch.randn(1, 4, 3, 3)
    before = network.upsampling(scores)
    with torch.no_grad():
        network.upsampling.weight[2] *= 2
    after = network.upsampling(scores)
    torch.testing.assert_close(after[:, 2], 2 * before[:, 2])
    torch.testing.assert_close(after[:, [0, 1, 3]], before[:, [0, 1, 3]])


# Receptive fields.


def layers_of(network: DeepLabVGG, *, with_convolutions: bool) -> Iterator[tuple[int, int, int]]:
    """Kernel, dilation and stride from the image to fc6; `with_convolutions` False leaves the 3 x 3 ones out."""
    pools = [(2, 1, 2), (2, 1, 2), (2, 1, 2), (2, 1, 1), (2, 2, 1)]
    for index, (count, pool) in enumerate(zip((2, 2, 3, 3, 3), pools, strict=True)):
        start = sum((2, 2, 3, 3, 3)[:index])
        for convolution in list(network.backbone.convolutions)[start : start + count] if with_convolutions else []:
            yield convolution.kernel_size[0], convolution.dilation[0], convolution.stride[0]
        yield pool
    yield network.fc6.kernel_size[0], network.fc6.dilation[0], 1


def analytic(network: DeepLabVGG, *, with_convolutions: bool) -> int:
    field, jump = 1, 1
    for kernel, dilation, stride in layers_of(network, with_convolutions=with_convolutions):
        field, jump = field + (kernel - 1) * dilation * jump, jump * stride
    return field


def empirical(network: DeepLabVGG, *, with_convolutions: bool) -> tuple[int, int]:
    """First and last px along an axis that the score in the middle of 640 px depends on, by the gradient.

    All weights are positive, so that nothing cancels and no ReLU is shut. Maxima pass the gradient on to one of their
    cells alone: a ramp that falls makes that the first, one that rises the last. Without the 3 x 3 convolutions each
    is left its middle tap.
    """
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1 / parameter[0].numel() if parameter.ndim > 1 else 0)
        for convolution in network.backbone.convolutions if not with_convolutions else []:
            middle = convolution.weight[..., 1, 1].clone()
            convolution.weight.zero_()[..., 1, 1] = middle
    ramp = torch.arange(1.0, 641) / 640
    return int(_reached(network, ramp.flip(0)).min()), int(_reached(network, ramp).max())


def _reached(network: DeepLabVGG, ramp: Tensor) -> Tensor:
    """Columns of an image 96 px high that the score in column 40 of its scores depends on."""
    image = ramp.expand(1, 3, 96, 640).clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network.coarse_scores(image)[0, 0, 6, 40], image)
    return gradient.abs().sum(dim=(0, 1, 2)).nonzero()


def thin(fc6_kernel: int, fc6_dilation: int) -> DeepLabVGG:
    return segmenter(
        narrow(width=1, fc6_kernel=7, hidden=1), fc6_kernel=fc6_kernel, fc6_dilation=fc6_dilation, hidden=1
    )


@pytest.mark.parametrize("kernel, dilation, field, whole", FIELDS)
def test_fields_of_view_by_the_layers_sizes(kernel: int, dilation: int, field: int, whole: int) -> None:
    network = thin(kernel, dilation)
    assert network.field_of_view == analytic(network, with_convolutions=False) == field
    assert analytic(network, with_convolutions=True) == whole == field + 180


@pytest.mark.parametrize("kernel, dilation, field, whole", FIELDS)
def test_fields_of_view_by_the_gradient(kernel: int, dilation: int, field: int, whole: int) -> None:
    """What the papers print is the field of pools and fc6; and it lies around the point that the score belongs to."""
    network = thin(kernel, dilation)
    for with_convolutions, expected in ((True, whole), (False, field)):
        first, last = empirical(network, with_convolutions=with_convolutions)
        assert last - first + 1 == expected
        assert (first + last) / 2 == 40 * STRIDE + 7.5


@pytest.mark.parametrize("kernel, dilation, field, whole", FIELDS)
def test_an_image_of_the_field_of_view_gives_fc6_one_score_without_padding(
    kernel: int, dilation: int, field: int, whole: int
) -> None:
    """ "With zero-padding", as DeepLab says: of that of the 3 x 3 convolutions, while fc6 reads no border."""
    network = thin(kernel, dilation)
    inner = network.last_map(torch.zeros(1, 3, field, field))[..., 1:-2, 1:-2]  # pools that look past no border
    network.fc6.padding = (0, 0)
    assert network.fc6(inner).shape[2:] == (1, 1)


# Training.


@pytest.mark.parametrize("make", [segmenter, residual, lambda: residual(kernel=3, dilation=2)])
def test_a_gradient_reaches_every_parameter(make: Callable[[], DeepLab]) -> None:
    network = make()
    network(torch.randn(1, 3, 72, 64)).square().mean().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_batch_norm_keeps_its_statistics_in_training() -> None:
    network = residual().train()
    before = network.backbone.network.bn1.running_mean.clone()
    network(torch.randn(1, 3, 32, 32) + 5)
    assert network.training and torch.equal(network.backbone.network.bn1.running_mean, before)


def test_dropout_acts_in_training_alone() -> None:
    network, image = segmenter(), torch.randn(1, 3, 32, 32)
    assert torch.equal(network(image), network(image))
    network.train()
    assert not torch.equal(network(image), network(image))


def test_the_shipped_classifier_as_a_segmenter() -> None:
    """On `tiny` the large field of view keeps the classifier whole, so the logits of pictures are means of two rows."""
    shipped = str(Path(vgg.__file__).parent / "weights" / "tiny.safetensors")
    names, image = ("stripe_egg", "mosaic_star"), torch.randn(1, 3, 128, 128)
    classifier = tiny(shipped, num_classes=TINY_CLASSES)
    pictures = classifier.fc8(classifier.fc7_map(classifier.layers(image)[-1]))
    network = deeplab_vgg(
        classifier, class_names=names, generator=seeded(), fc6_kernel=3, fc6_dilation=4, hidden=128, dropout=0.5
    ).eval()
    expected = torch.stack([pictures[:, [0, 8]].mean(dim=1), pictures[:, [7, 15]].mean(dim=1)], dim=1)
    torch.testing.assert_close(network.coarse_scores(image)[:, 1:, 5::4, 5::4][..., :2, :2], expected)


def test_weights_without_a_classifier() -> None:
    classifier = narrow()
    classifier.has_global = False
    with pytest.raises(InputError, match="no fc6 to fc8"):
        segmenter(classifier)


def test_more_filters_or_taps_than_the_weights_have() -> None:
    with pytest.raises(InputError, match="13 filters in fc6 and fc7, but the weights have 12"):
        segmenter(hidden=13)
    with pytest.raises(InputError, match="4 taps per axis in fc6, but the weights have 3"):
        segmenter(fc6_kernel=4)
