import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss_lightning.nn.bilinear import Bilinear
from wsss_lightning.nn.hypercolumns import (
    Standardisation,
    assemble,
    compact,
    hypercolumns_at,
    linear_on_maps,
    perceptron_on_maps,
)

GRID = (8, 12)


@pytest.fixture
def maps() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = [(3, 8, 12), (4, 8, 12), (5, 4, 6), (2, 2, 3), (2, 3, 4)]
    return [torch.randn(1, *size, generator=generator, dtype=torch.float64) for size in sizes]


def test_assembled_maps_are_resized_bilinearly(maps: list[Tensor]) -> None:
    column = assemble(maps, GRID)
    assert column.shape == (1, 16, *GRID)
    expected = F.interpolate(maps[2], GRID, mode="bilinear", align_corners=False)
    torch.testing.assert_close(column[:, 7:12], expected)


def test_some_locations_equal_rows_of_the_large_tensor(maps: list[Tensor]) -> None:
    everywhere = assemble(maps, GRID)[0].flatten(1).T
    locations = torch.tensor([0, 5, 11, 12, 95, 40])
    torch.testing.assert_close(hypercolumns_at(maps, locations, GRID), everywhere[locations])


def test_locations_of_half_precision_maps_are_read_as_float32(maps: list[Tensor]) -> None:
    half, locations = [m.half() for m in maps], torch.arange(96)
    rows = hypercolumns_at(half, locations, GRID)
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows, assemble([m.float() for m in half], GRID)[0].flatten(1).T)


def test_a_gradient_passes_through_some_locations(maps: list[Tensor]) -> None:
    leaves = [m[:, :1].clone().requires_grad_() for m in maps]
    assert torch.autograd.gradcheck(lambda *m: hypercolumns_at(m, torch.tensor([0, 40, 95]), GRID), leaves)


def test_linear_functions_commute_with_resizing(maps: list[Tensor]) -> None:
    weight, bias = torch.randn(7, 16, dtype=torch.float64), torch.randn(7, dtype=torch.float64)
    textbook = F.conv2d(assemble(maps, GRID), weight[:, :, None, None], bias)
    torch.testing.assert_close(linear_on_maps(maps, weight, bias, GRID), textbook)


def test_only_maps_finer_than_the_grid_are_brought_down(maps: list[Tensor]) -> None:
    fine = torch.arange(4.0 * 16 * 24).reshape(1, 4, 16, 24)
    down = compact([fine, maps[3]], GRID)
    torch.testing.assert_close(down[1], maps[3])
    torch.testing.assert_close(down[0], F.avg_pool2d(fine, 2))


def test_joining_layers_of_one_size_keeps_the_hypercolumns(maps: list[Tensor]) -> None:
    joined = compact(maps, GRID)
    assert [m.shape[1] for m in joined] == [7, 5, 2, 2]
    torch.testing.assert_close(assemble(joined, GRID), assemble(maps, GRID))


def statistics(maps: list[Tensor]) -> tuple[Tensor, Tensor]:
    rows = assemble(maps, GRID)[0].flatten(1)
    return rows.mean(dim=1), rows.std(dim=1, correction=0)


def test_standardised_rows_have_zero_mean_and_unit_variance(maps: list[Tensor]) -> None:
    rows = Standardisation(*statistics(maps))(assemble(maps, GRID)[0].flatten(1).T.float())
    torch.testing.assert_close(rows.mean(dim=0), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(rows.var(dim=0, correction=0), torch.ones(16), atol=1e-4, rtol=0)


def test_standardising_a_layer_before_or_after_resizing_is_the_same(maps: list[Tensor]) -> None:
    standardise = Standardisation(*statistics(maps))
    before = F.interpolate(standardise.on_map(maps[2].float(), start=7), GRID, mode="bilinear")
    after = standardise(assemble(maps, GRID).float().permute(0, 2, 3, 1)).permute(0, 3, 1, 2)[:, 7:12]
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-5)


def test_disabled_standardisation_hands_raw_features_on(maps: list[Tensor]) -> None:
    raw = assemble(maps, GRID)[0].flatten(1).T.float()
    torch.testing.assert_close(Standardisation(*statistics(maps), enabled=False)(raw), raw)


@pytest.mark.parametrize("corners", [False, True])
def test_a_network_of_two_layers_sees_the_enlarged_map(corners: bool) -> None:
    small, shift = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([[1.0], [-1.0]])
    first, second = nn.Linear(3, 6), nn.Linear(6, 2)
    large = Bilinear((4, 5), GRID, corners=corners).enlarge(small)
    hidden = F.conv2d(large, first.weight[:, :, None, None], first.bias) + shift[:, :, None, None]
    expected = F.conv2d(torch.relu(hidden), second.weight[:, :, None, None], second.bias)
    found = perceptron_on_maps([small], first, second, GRID, shift=shift.expand(2, 6), corners=corners)
    torch.testing.assert_close(found, expected)
    layers = perceptron_on_maps(
        [small[:, :1], small[:, 1:]], first, second, GRID, shift=shift.expand(2, 6), corners=corners
    )
    torch.testing.assert_close(layers, expected)
    with_cells = perceptron_on_maps(
        [small[:, :2], shift.expand(2, 1)[:, :, None, None]], first, second, GRID, corners=corners
    )
    hidden = F.conv2d(
        torch.cat([large[:, :2], shift[:, :, None, None].expand(2, 1, *GRID)], dim=1),
        first.weight[:, :, None, None],
        first.bias,
    )
    torch.testing.assert_close(with_cells, F.conv2d(torch.relu(hidden), second.weight[:, :, None, None], second.bias))
    rows = hypercolumns_at([small[:1]], torch.tensor([0, 50, 95]), GRID, corners=corners)
    torch.testing.assert_close(rows, large[0].flatten(1).T[[0, 50, 95]])
