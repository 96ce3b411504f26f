import numpy as np
import pytest

from wsss_lightning.methods.coseg.hog import CELL, FEATURES, Scan, crop, hog, mirrored, resized, shrunk, template

SCAN = Scan(area=6000, interval=10, least_share=0.5)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_a_cell_has_31_features_and_a_flat_image_none() -> None:
    assert hog(noise(24, 40)).shape == (3, 5, FEATURES)
    assert not hog(np.full((24, 40, 3), 77, np.uint8)).any()


def test_signed_orientations_tell_an_edge_from_its_opposite_and_unsigned_ones_do_not() -> None:
    image = np.zeros((24, 24, 3), np.uint8)
    image[:, 12:] = 200
    one, other = hog(image)[1, 1], hog(200 - image)[1, 1]
    assert not np.allclose(one[:18], other[:18], atol=0.1)
    np.testing.assert_allclose(one[18:27], other[18:27], atol=1e-5)


def test_features_of_the_flipped_image_are_the_mirrored_features() -> None:
    image = noise(48, 40)
    np.testing.assert_allclose(mirrored(hog(image)), hog(np.ascontiguousarray(image[:, ::-1])), atol=1e-4)


def test_contrast_of_the_light_does_not_change_features() -> None:
    image = noise(24, 24) // 4
    np.testing.assert_allclose(hog(image), hog(image * 3), atol=0.03)


def test_windows_are_the_pyramids_pieces_in_their_boxes() -> None:
    image, shape = noise(120, 160), (10, 10)
    levels = SCAN.pyramid(image)
    features, boxes = SCAN.windows(levels, shape, (120, 160))
    assert features.shape == (len(boxes), 10 * 10 * FEATURES)
    shares = (boxes[:, 2:] - boxes[:, :2]) / np.array([160, 120])
    assert shares.max(axis=1).min() >= 0.5 - 1e-6
    assert boxes.min() >= 0 and (boxes.max(axis=0) <= np.array([160, 120, 160, 120]) + 1e-3).all()
    level = next(level for level in levels if max(10 / level.shape[0], 10 / level.shape[1]) >= 0.5)
    np.testing.assert_array_equal(features[0], level[:10, :10].ravel())
    np.testing.assert_array_equal(features[1], level[:10, 1:11].ravel())
    unit = np.array([160 / level.shape[1], 120 / level.shape[0]])
    np.testing.assert_allclose(boxes[1], [unit[0], 0, 11 * unit[0], 10 * unit[1]], rtol=1e-5)


def test_a_window_sees_what_a_template_of_its_box_sees() -> None:
    image = resized(noise(12, 16), (24, 32))  # smooth, so that two ways of shrinking it agree
    features, boxes = SCAN.windows(SCAN.pyramid(image), (10, 10), image.shape[:2])
    for index in (0, len(boxes) // 2, len(boxes) - 1):
        seen = template(image, boxes[index], (10, 10)).ravel()
        assert np.corrcoef(seen, features[index])[0, 1] > 0.9


def test_an_image_too_small_for_a_template_has_no_windows() -> None:
    features, boxes = SCAN.windows(SCAN.pyramid(noise(8, 200)), (16, 6), (8, 200))
    assert len(features) == len(boxes) == 0


def test_templates_have_the_area_and_the_nearest_aspect_is_found() -> None:
    assert all(5000 <= height * width * CELL**2 <= 7000 for height, width in SCAN.shapes)
    assert SCAN.nearest(np.array([0, 0, 100, 100], np.float32)) == (10, 10)
    assert SCAN.nearest(np.array([5, 5, 305, 105], np.float32)) == SCAN.shapes[-1]


def test_levels_halve_in_an_octave_and_enlarge_at_most_twice() -> None:
    sizes = SCAN.sizes((240, 320))
    assert sizes[0] == (24, 32)  # the largest of which a template of 16 cells is half
    assert sizes[10] == (12, 16)
    assert SCAN.sizes((32, 40))[0] == (8, 10)


def test_crop_of_a_whole_number_of_pixels_is_a_slice_and_goes_on_beyond_the_border() -> None:
    image = noise(10, 12)
    np.testing.assert_array_equal(crop(image, np.array([2, 3, 8, 9]), (6, 6)), image[3:9, 2:8])
    beyond = crop(image, np.array([-2, 0, 4, 6]), (6, 6))
    np.testing.assert_array_equal(beyond[:, 0], image[:6, 0])


def test_shrinking_keeps_the_aspect_and_never_enlarges() -> None:
    assert shrunk(noise(100, 200), 50).shape == (25, 50, 3)
    small = noise(10, 20)
    assert shrunk(small, 50) is small


@pytest.mark.parametrize("size", [(3, 4), (20, 4), (500, 20)])
def test_any_image_has_a_pyramid(size: tuple[int, int]) -> None:
    assert all(level.shape[2] == FEATURES for level in SCAN.pyramid(noise(*size)))
