import numpy as np
import pytest
import torch
from torch import Tensor

from wsss_lightning.methods.points.stages.preview import draw_points, draw_steps
from wsss_lightning.stages.drawing import draw_scores

RED, WHITE = [230, 30, 30], [255, 255, 255]
FACTOR = 19  # 20 pixels become 380, the most that 384 leave room for
SIZE = 380 // 13  # of a title's letters
TILE = (10 * FACTOR + 2 * SIZE, 20 * FACTOR + SIZE // 2)  # with title and margins
BAR = 3 * SIZE // 2


def image() -> np.ndarray:
    return np.full((10, 20, 3), 90, np.uint8)


def steps() -> list[tuple[Tensor, int]]:
    """Three of a grid of 2 x 4."""
    maps = [torch.tensor([[0.0, 1, 2, 3], [4, 5, 6, 7]]) * scale for scale in (1, 0.5, 0.25)]
    return list(zip(maps, [7, 0, 5], strict=True))


def tiles(picture: np.ndarray) -> list[np.ndarray]:
    """The four of a picture of two rows, with their titles."""
    return [tile for row in np.vsplit(picture, 2) for tile in np.hsplit(row, 2)]


def cell(tile: np.ndarray, location: int) -> list[int]:
    """The colour in the middle of a grid cell."""
    row, column = divmod(location, 4)
    return list(tile[BAR + int((row + 0.5) * 95), int((column + 0.5) * 95)])


def test_steps_stand_two_side_by_side() -> None:
    picture = draw_steps(image(), steps(), name="net_star")
    assert picture.shape == (2 * TILE[0], 2 * TILE[1], 3)
    assert (tiles(picture)[3] == 255).all()
    assert draw_steps(image(), steps()[:2], name="net_star").shape == (TILE[0], 2 * TILE[1], 3)


def test_the_new_point_is_red_and_those_before_it_are_white() -> None:
    one, two, three, _ = tiles(draw_steps(image(), steps(), name="net_star"))
    assert cell(one, 7) == RED
    assert [cell(two, location) for location in (0, 7)] == [RED, WHITE]
    assert [cell(three, location) for location in (5, 0, 7)] == [RED, WHITE, WHITE]
    assert cell(one, 5) not in (RED, WHITE) and cell(two, 5) not in (RED, WHITE)


def test_every_map_has_its_own_scale() -> None:
    one, two, _, _ = tiles(draw_steps(image(), steps(), name="net_star"))
    assert [cell(one, location) for location in (2, 5)] == [cell(two, location) for location in (2, 5)]
    assert cell(one, 2) != cell(one, 5)


def test_the_class_stands_in_the_first_title() -> None:
    star, tent = (tiles(draw_steps(image(), steps(), name=name)) for name in ("net_star", "ray_tent"))
    different = [not np.array_equal(a[:BAR], b[:BAR]) for a, b in zip(star, tent, strict=True)]
    assert different == [True, False, False, False]
    assert star[1][:BAR].min() == 0 and star[1][:BAR].max() == 255


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_map_without_differences_is_one_colour(value: float) -> None:
    picture = draw_scores(image(), torch.full((1, 2, 4), value))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 1


def test_the_best_of_several_maps_is_drawn_each_on_its_own_scale() -> None:
    maps = torch.tensor([[[0.0, 1, 0, 0]], [[0, 0, 0, 50.0]]])
    one, two, three, four = draw_scores(np.zeros((1, 4, 3), np.uint8), maps)[0].tolist()
    assert two == four != one == three


def test_points_have_the_colour_of_their_labels() -> None:
    colours = np.array([[128, 0, 0], [0, 128, 0]], np.uint8)
    picture = draw_points(image(), np.array([1, 6]), colours, grid=(2, 4))
    assert picture.shape == (190, 380, 3)
    assert picture[47, 142].tolist() == [128, 0, 0] and picture[142, 237].tolist() == [0, 128, 0]
    assert picture[47, 47].tolist() == [63, 63, 63]  # 0.7 of 90: the points stand out
