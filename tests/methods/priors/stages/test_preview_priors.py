import numpy as np
import torch

from wsss_lightning.methods.priors.priors import combine, scale_activation_maps
from wsss_lightning.methods.priors.stages.preview_priors import ImagePriors, class_maps, draw_maps, draw_masks
from wsss_lightning.stages.drawing import in_rows


def image() -> np.ndarray:
    return np.full((96, 128, 3), 90, np.uint8)  # enlarged three times


def test_both_ends_of_equation_3() -> None:
    """M_c between 0 and 1, and Q_c = P_f B_c."""
    generator = torch.Generator().manual_seed(0)
    fusion, cams = torch.rand(6, 8, generator=generator), torch.randn(2, 6, 8, generator=generator)
    priors = ImagePriors(image=image(), classes=np.array([0, 4]), blocks=[], fusion=fusion, cams=cams)
    localized, truncated = class_maps(priors, combine)
    scaled = scale_activation_maps(cams)
    torch.testing.assert_close(localized, scaled)
    torch.testing.assert_close(truncated, fusion * (scaled > 0.2))
    whole = 0.5 * truncated + 0.5 * localized
    torch.testing.assert_close(whole, combine(fusion, cams, normalise=False)[1:])


def test_maps_stand_three_side_by_side() -> None:
    maps = {str(number): torch.rand(3, 4) for number in range(4)}
    one, four = draw_maps(image(), {"0": maps["0"]}), draw_maps(image(), maps)
    assert (four.shape[0], four.shape[1]) == (2 * one.shape[0], one.shape[1])
    assert np.array_equal(four[: one.shape[0], : one.shape[1] // 3], one[:, : one.shape[1] // 3])
    assert (four[one.shape[0] :, one.shape[1] // 3 :] == 255).all()


def test_masks_with_regions_stand_below_those_without() -> None:
    regions = np.zeros((96, 128), np.int32)
    regions[:, 64:] = 1
    red, blue = (np.broadcast_to(np.array(colour, np.uint8), (96, 128, 3)) for colour in ((128, 0, 0), (0, 0, 128)))
    picture = draw_masks(image(), regions, {"classes": red}, {"classes": blue})
    (whole, pairs), (borders, higher) = (np.hsplit(row, 2) for row in np.vsplit(picture, 2))
    middle = whole.shape[0] // 2
    assert (whole[middle, 100:300] == 90).all()
    assert (pairs[middle, 100:300] == (128, 0, 0)).all() and (higher[middle, 100:300] == (0, 0, 128)).all()
    assert (borders[middle, 100] == 90).all() and (borders[middle, 3 * 64] == 255).all()


def test_rows_are_filled_up_with_white() -> None:
    tiles = [np.full((2, 3, 3), value, np.uint8) for value in (1, 2, 3)]
    rows = in_rows(tiles, columns=2)
    assert rows.shape == (4, 6, 3)
    assert [rows[r, c, 0] for r, c in ((0, 0), (0, 3), (2, 0), (2, 3))] == [1, 2, 3, 255]
    assert np.array_equal(in_rows(tiles[:2], columns=2), rows[:2])
