import numpy as np
import pytest
import torch
import torch.nn.functional as F

from wsss_lightning.ops.resize import resize_labels, resize_maps


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


def test_growing_interpolates_between_pixel_centres() -> None:
    assert resize_maps(row(0, 1), (1, 4)).flatten().tolist() == [0, 1 / 4, 3 / 4, 1]


def test_shrinking_averages_areas() -> None:
    assert resize_maps(row(0, 1, 4, 9), (1, 2)).flatten().tolist() == [1 / 2, 13 / 2]


def test_shrinking_by_a_fraction_shares_the_border_pixel() -> None:
    assert resize_maps(row(0, 1, 5), (1, 2)).flatten().tolist() == [1 / 2, 3]


def test_one_axis_may_grow_while_the_other_shrinks() -> None:
    maps = torch.tensor([[0.0, 2, 4, 6], [8, 10, 12, 14]]).view(1, 1, 2, 4)
    expected = [[1, 5], [3, 7], [7, 11], [9, 13]]
    assert resize_maps(maps, (4, 2))[0, 0].tolist() == expected


def test_the_right_size_is_returned_as_it_is() -> None:
    maps = torch.rand(2, 3, 5, 7)
    assert resize_maps(maps, (5, 7)) is maps


def test_a_thin_response_survives_wherever_it_lies() -> None:
    for position in range(64):
        maps = torch.zeros(1, 1, 64)
        maps[..., position] = 1
        assert resize_maps(maps.view(1, 1, 8, 8), (2, 2)).sum().item() == 1 / 16


@pytest.mark.parametrize("size", [(3, 3), (9, 5), (2, 20), (7, 11)])
def test_constants_and_shapes(size: tuple[int, int]) -> None:
    resized = resize_maps(torch.full((2, 3, 7, 11), 0.25), size)
    assert resized.shape == (2, 3, *size)
    torch.testing.assert_close(resized, torch.full_like(resized, 0.25))


@pytest.mark.parametrize("maps", [torch.zeros(3, 4, 4), torch.zeros(1, 3, 4, 4, dtype=torch.int64)])
def test_other_maps_are_refused(maps: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"\(N, K, h, w\)"):
        resize_maps(maps, (2, 2))


def test_labels_are_repeated_or_taken_at_the_centre() -> None:
    assert resize_labels(np.array([[0, 255]], np.uint8), (2, 4)).tolist() == [[0, 0, 255, 255]] * 2
    assert resize_labels(np.array([[1, 2, 3, 4, 5, 6]]), (1, 2)).tolist() == [[2, 5]]


@pytest.mark.parametrize("size", [(3, 4), (13, 29), (7, 10), (1, 1), (20, 3)])
def test_labels_agree_with_torch_for_tensors_and_arrays(size: tuple[int, int]) -> None:
    mask = torch.randint(0, 21, (7, 10), generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(mask[None, None].double(), size, mode="nearest-exact")[0, 0].long()
    assert torch.equal(resize_labels(mask, size), expected)
    resized = resize_labels(mask.numpy().astype(np.uint8), size)
    assert resized.dtype == np.uint8
    assert np.array_equal(resized, expected.numpy())


def test_labels_of_a_batch_are_resized_one_by_one() -> None:
    masks = torch.randint(9, (3, 7, 10), generator=torch.Generator().manual_seed(0))
    whole = resize_labels(masks, (4, 5))
    assert torch.equal(whole, torch.stack([resize_labels(mask, (4, 5)) for mask in masks]))
