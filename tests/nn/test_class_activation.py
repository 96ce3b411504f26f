import torch

from wsss_lightning.nn.class_activation import activation_sum, scaled_activation
from wsss_lightning.nn.trunk import Variant

SIZE = (33, 49)


def _maps(seed: int, size: tuple[int, int] = (3, 4)) -> torch.Tensor:
    return torch.randn(5, *size, generator=torch.Generator().manual_seed(seed))


def test_one_variant_is_the_classifier_at_every_cell() -> None:
    maps, rows = _maps(0), torch.randn(2, 5)
    total = activation_sum({Variant(): maps}, rows, SIZE, corners=True)
    assert total.shape == (2, *SIZE)
    torch.testing.assert_close(total[:, ::16, ::16], torch.einsum("kd,dhw->khw", rows, maps))


def test_a_mirror_image_is_turned_back() -> None:
    maps, rows = _maps(0), torch.randn(2, 5)
    plain = activation_sum({Variant(): maps}, rows, SIZE, corners=True)
    both = activation_sum({Variant(): maps, Variant(1.0, True): maps.flip(-1)}, rows, SIZE, corners=True)
    torch.testing.assert_close(both, 2 * plain)


def test_scales_are_summed_at_one_size() -> None:
    rows = torch.eye(5)[:1]
    maps = {Variant(0.5): torch.full((5, 2, 3), 2.0), Variant(1.5): torch.full((5, 4, 6), 3.0)}
    torch.testing.assert_close(activation_sum(maps, rows, SIZE, corners=False), torch.full((1, *SIZE), 5.0))


def test_stored_half_precision_is_summed_in_full() -> None:
    rows, maps = torch.ones(1, 5), torch.full((5, 2, 2), 20000.0).half()
    assert float(activation_sum({Variant(): maps}, rows, (2, 2), corners=False).max()) == 100000


def test_each_class_is_divided_by_its_own_maximum_and_what_is_negative_is_zero() -> None:
    total = torch.tensor([[[-1.0, 2.0, 4.0]], [[0.5, 0.0, 0.25]], [[-3.0, -2.0, -1.0]]])
    expected = torch.tensor([[[0.0, 0.5, 1.0]], [[1.0, 0.0, 0.5]], [[0.0, 0.0, 0.0]]])
    assert torch.equal(scaled_activation(total), expected)


def test_grad_cam_is_the_same_map_so_that_it_needs_no_package_of_its_own() -> None:
    """Selvaraju et al., 2017: channels weighted by the mean gradient of the class's score."""
    maps, linear = _maps(0).requires_grad_(), torch.nn.Linear(5, 2)
    scores = linear(maps.mean(dim=(1, 2)))
    for label in range(2):
        (gradient,) = torch.autograd.grad(scores[label], maps, retain_graph=True)
        weighted = torch.einsum("d,dhw->hw", gradient.mean(dim=(1, 2)), maps)[None]
        cam = activation_sum({Variant(): maps}, linear.weight[label : label + 1], (3, 4), corners=True)
        torch.testing.assert_close(scaled_activation(weighted), scaled_activation(cam))


def test_an_image_without_tags_has_no_map() -> None:
    total = activation_sum({Variant(): _maps(0)}, torch.zeros(0, 5), SIZE, corners=True)
    assert total.shape == scaled_activation(total).shape == (0, *SIZE)
