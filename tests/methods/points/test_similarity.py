from collections.abc import Callable
from itertools import accumulate

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from wsss_lightning.methods.points import similarity
from wsss_lightning.methods.points.similarity import CellSimilarity, ColumnSimilarity, similarity_of
from wsss_lightning.nn.backbones import Features
from wsss_lightning.nn.bilinear import Bilinear
from wsss_lightning.nn.hypercolumns import Standardisation

Shapes = list[tuple[int, int, int]]
# Grid, then channels, height and width of each layer.
SIZES: list[tuple[tuple[int, int], Shapes]] = [
    ((8, 12), [(3, 8, 12), (70, 4, 6), (5, 2, 3)]),
    ((7, 9), [(130, 7, 9), (4, 4, 5), (6, 3, 2), (2, 1, 1)]),
    ((1, 1), [(4, 1, 1), (65, 1, 1)]),
    ((1, 10), [(5, 1, 10), (3, 1, 4)]),
    ((16, 21), [(64, 5, 21), (3, 16, 2)]),
]
PAPER: Shapes = [(896, 64, 84), (1280, 32, 42), (1536, 16, 21), (512, 8, 10)]  # VGG-16 after `compact`
TENSOR = 4224 * 64 * 84 * 4  # bytes of all hypercolumns of an image, points sec. 4.1


def random_maps(shapes: Shapes, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, *shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def moments(features: int) -> tuple[Tensor, Tensor]:
    """Means and deviations that float32 holds exactly, so that it does not limit what float64 can show."""
    generator = torch.Generator().manual_seed(1)
    mean = torch.randint(-16, 17, (features,), generator=generator) / 8
    std = 2.0 ** torch.randint(-2, 3, (features,), generator=generator)
    std[1] = 0  # a unit that never fires
    return mean, std


def textbook(maps: list[Tensor], grid: tuple[int, int], mean: Tensor, std: Tensor) -> Tensor:
    """z_i . z_j of all pairs from the tensor of all hypercolumns, as points sec. 4.1 says it: (P, P)."""
    resized = [F.interpolate(m, grid, mode="bilinear", align_corners=False) for m in maps]
    rows = torch.cat(resized, dim=1)[0].flatten(1).T
    alive = std > 0
    standardised = (rows[:, alive] - mean[alive]) / std[alive]
    unit = F.normalize(standardised, dim=1)
    return unit @ unit.T


@pytest.fixture(params=["by layer", "whole"], autouse=True)
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything here is small, and would be kept whole."""
    if request.param == "by layer":
        monkeypatch.setattr(similarity, "_SMALL", 0)


def all_pairs(maps: list[Tensor], grid: tuple[int, int], mean: Tensor, std: Tensor) -> Tensor:
    of_location = ColumnSimilarity(maps, grid, Standardisation(mean, std))
    return torch.stack([of_location(i) for i in range(grid[0] * grid[1])])


@pytest.mark.parametrize("grid, shapes", SIZES)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_equals_the_dot_product_of_unit_rows(
    grid: tuple[int, int], shapes: Shapes, dtype: torch.dtype, tolerance: float
) -> None:
    maps, (mean, std) = random_maps(shapes, dtype), moments(sum(shape[0] for shape in shapes))
    found = all_pairs(maps, grid, mean, std)
    assert found.dtype == dtype
    torch.testing.assert_close(found, textbook(maps, grid, mean.to(dtype), std.to(dtype)), rtol=0, atol=tolerance)


@pytest.mark.parametrize("grid, shapes", SIZES)
def test_half_precision_maps_are_read_as_float32(grid: tuple[int, int], shapes: Shapes) -> None:
    half, (mean, std) = random_maps(shapes, torch.float16), moments(sum(shape[0] for shape in shapes))
    found, expected = all_pairs(half, grid, mean, std), textbook([m.float() for m in half], grid, mean, std)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_two_locations_by_hand() -> None:
    """u = (1, 2) and (2, -1) after standardisation are orthogonal; u = (2, 4) points where (1, 2) does."""
    maps = [torch.tensor([[[[3.0, 5.0, 5.0]], [[2.0, -1.0, 4.0]]]])]
    of_location = ColumnSimilarity(maps, (1, 3), Standardisation(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 1.0])))
    torch.testing.assert_close(of_location(0), torch.tensor([1.0, 0.0, 1.0]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_location_of_zero_length_resembles_nothing(dtype: torch.dtype) -> None:
    mean, std = moments(7)
    maps = [
        random_maps([(3, 4, 5)], dtype)[0],
        mean[3:, None, None].expand(1, 4, 2, 2).to(dtype),  # average everywhere: without length at every location
    ]
    maps[0][0, :, 1, 2] = mean[:3].to(dtype)
    found = all_pairs(maps, (4, 5), mean, std)
    assert found[7].count_nonzero() == 0 and found[:, 7].count_nonzero() == 0
    others = torch.arange(20) != 7
    torch.testing.assert_close(found.diagonal()[others], torch.ones(19, dtype=found.dtype))


def peak_bytes(function: Callable[[], object]) -> int:
    """Most bytes of torch's CPU memory alive at a time that `function` allocated, temporaries of kernels included."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        function()
    assert seen.profiler is not None and seen.profiler.kineto_results is not None
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    return max(accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())))


def test_peak_bytes_counts_what_lives_at_one_time() -> None:
    def function() -> None:
        for _ in range(3):
            kept = torch.zeros(1000)
            torch.zeros(500)
            del kept

    assert peak_bytes(function) == 6000


def test_peak_memory_at_the_papers_size_is_below_a_quarter_of_the_tensor() -> None:
    """Construction and 20 calls, together with the stored half-precision maps they read."""
    grid, maps = (64, 84), random_maps(PAPER, torch.float16)
    statistics = Standardisation(*moments(4224))

    def similarities() -> None:
        of_location = ColumnSimilarity(maps, grid, statistics)
        for location in range(0, 5376, 5376 // 20):
            of_location(location)

    stored = sum(m.nbytes for m in maps)
    assert stored + peak_bytes(similarities) < TENSOR / 4


@pytest.mark.parametrize("corners", [False, True])
def test_a_single_map_is_told_from_the_products_of_its_cells(corners: bool) -> None:
    grid, (mean, std) = (8, 12), moments(9)
    small = random_maps([(9, 4, 5)], torch.float32)[0]
    small[0, :, 0, 0] = small[0, :, 0, 1] = small[0, :, 1, 0] = small[0, :, 1, 1] = mean  # a corner without length
    features = Features(maps=[small], pooled=torch.zeros(1, 0), corners=corners)
    of_location = similarity_of(features, grid, Standardisation(mean, std))
    assert isinstance(of_location, CellSimilarity)
    large = Bilinear((4, 5), grid, corners=corners).enlarge(small)
    expected = textbook([large], grid, mean.float(), std.float())
    found = torch.stack([of_location(i) for i in range(96)])
    alive = found.diagonal() > 0  # of the others the textbook's float32 normalises rounding errors
    torch.testing.assert_close(found[alive][:, alive], expected[alive][:, alive], rtol=0, atol=1e-4)
    assert alive.sum() > 80 and found[~alive].count_nonzero() == found[0].count_nonzero() == 0
