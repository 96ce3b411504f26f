import numpy as np
import pytest

from wsss_lightning.methods.coseg.box_masks import (
    average_mask,
    border_share,
    box_slices,
    cleaned,
    filled,
    location_costs,
    pasted,
)


def box(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_a_box_is_cut_at_the_image_and_never_empty() -> None:
    assert filled(box(-3, 1, 2, 9), (5, 6)).sum() == 2 * 4
    assert filled(box(2.2, 3.1, 2.3, 3.2), (5, 6)).sum() == 1
    assert filled(box(9, 9, 12, 12), (5, 6)).sum() == 1
    assert box_slices(box(1, 2, 4, 5), (9, 9)) == (slice(2, 5), slice(1, 4))


def test_share_of_a_boxs_border() -> None:
    mask = np.zeros((10, 10), bool)
    mask[2, 2:6] = mask[3, 3] = True
    assert border_share(mask, box(2, 2, 6, 6)) == 4 / 12


def test_average_of_masks_seen_through_their_boxes() -> None:
    whole, half = np.ones((20, 20), bool), np.zeros((20, 20), bool)
    half[:, :10] = True
    average = average_mask([whole, half], [box(5, 5, 15, 15), box(0, 0, 20, 20)], 8)
    np.testing.assert_allclose(average[:, [0, 1, 6, 7]], [[1, 1, 0.5, 0.5]] * 8, atol=1e-6)


def test_pasting_undoes_looking_through_a_box() -> None:
    mask = np.zeros((40, 60), bool)
    mask[14:26, 20:40] = True
    where = box(10, 5, 50, 35)
    back = pasted(average_mask([mask], [where], 200), where, (40, 60))
    np.testing.assert_array_equal(back > 0.5, mask)


def test_outside_its_box_a_canvas_has_its_least_value() -> None:
    canvas = np.array([[0.2, 0.4], [0.6, 0.9]], np.float32)
    whole = pasted(canvas, box(2, 1, 4, 3), (5, 6))
    np.testing.assert_allclose(whole[1:3, 2:4], canvas)
    assert whole[0, 0] == whole[4, 5] == np.float32(0.2)


def test_location_costs_by_hand() -> None:
    found = location_costs(np.array([[0.25, 0.0, 1.0]], np.float32))
    np.testing.assert_allclose(np.exp(-found), [[[0.25, 0.001, 0.999]], [[0.75, 0.999, 0.001]]], rtol=1e-4)


def test_cleaning_fills_holes_and_keeps_the_largest_part() -> None:
    mask = np.zeros((60, 60), bool)
    mask[10:40, 10:40] = True
    solid = mask.copy()
    mask[20:30, 20:30] = False
    mask[48:56, 48:56] = True
    mask[2, :] = True  # thinner than the disk
    found = cleaned(mask)
    assert (found != solid).sum() <= 16  # corners are rounded
    assert found[25, 25] and not found[50, 50] and not found[2].any()


@pytest.mark.parametrize("value", [False, True])
def test_cleaning_leaves_a_uniform_mask(value: bool) -> None:
    assert (cleaned(np.full((20, 30), value)) == value).all()
