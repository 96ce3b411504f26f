import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.nn.bilinear import Bilinear, bilinear_weights

GRID = (7, 9)


def maps(channels: int = 3, size: tuple[int, int] = (4, 5)) -> Tensor:
    return torch.randn(channels, *size, generator=torch.Generator().manual_seed(0))


def test_cells_that_are_areas_are_enlarged_as_everywhere() -> None:
    expected = F.interpolate(maps()[None], GRID, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(Bilinear((4, 5), GRID, corners=False).enlarge(maps()), expected)


def test_cells_that_look_at_corners_are_read_in_the_middle_of_the_grids() -> None:
    """A ramp of 5 cells, pixels 0, 16, ..., 64: the middle of each of 4 parts of 65 px is 8, 24, 40, 56."""
    found = bilinear_weights(4, 5, corners=True) @ torch.arange(0.0, 65, 16)
    assert found.tolist() == [8, 24, 40, 56]


@pytest.mark.parametrize("corners", [False, True])
def test_a_single_cell_fills_the_grid(corners: bool) -> None:
    assert (Bilinear((1, 1), GRID, corners=corners).enlarge(torch.full((2, 1, 1), 3.0)) == 3).all()


@pytest.mark.parametrize("corners", [False, True])
def test_what_is_had_without_enlarging_is_that_of_the_enlarged_map(corners: bool) -> None:
    way = Bilinear((4, 5), GRID, corners=corners)
    large, cells = way.enlarge(maps()), maps().flatten(1)
    total, squares = way.moments(maps())
    torch.testing.assert_close(total.float(), large.sum(dim=(1, 2)))
    torch.testing.assert_close(squares.float(), large.square().sum(dim=(1, 2)))
    products = (cells.T @ cells).view(4, 5, 4, 5)
    torch.testing.assert_close(way.squared_lengths(products), large.square().sum(dim=0))
    weight = torch.tensor([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]])
    torch.testing.assert_close(way.rectified_product(maps(), weight), torch.einsum("ok,khw->ohw", weight, large.relu()))
    torch.testing.assert_close((way.at(23) * maps()).sum(dim=(1, 2)), large[:, 2, 5])
