from dataclasses import replace

import numpy as np
from fake_collection import picture

from wsss_lightning.methods.coseg.joint_segmentation import Joint, boxed_image, segment_jointly

SETTINGS = Joint(
    side=128,
    most=9,
    components=3,
    frame=0.1,
    group_weight=1.0,
    smoothness=10.0,
    rounds=4,
    border=0.2,
    canvas=40,
)
BOX = np.array([10, 5, 118, 91], np.float32)


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_what_the_boxes_share_is_found_and_their_average_is_an_egg() -> None:
    pictures = [picture(seed, stripes=True) for seed in range(5)]
    masks, average = segment_jointly([boxed_image(image, BOX, SETTINGS) for image, _ in pictures], SETTINGS, seed=0)
    assert min(jaccard(found, truth) for found, (_, truth) in zip(masks, pictures, strict=True)) > 0.9
    assert average.shape == (40, 40)
    assert average[20, 20] > 0.9 and average[0, 0] < 0.1


def test_the_seed_decides() -> None:
    images = [boxed_image(picture(seed, stripes=False)[0], BOX, SETTINGS) for seed in range(3)]
    one, other = (segment_jointly(images, SETTINGS, seed=3) for _ in range(2))
    assert all((a == b).all() for a, b in zip(one[0], other[0], strict=True))
    np.testing.assert_array_equal(one[1], other[1])


def test_outside_its_box_a_pixel_is_background() -> None:
    small = np.array([40, 30, 90, 70], np.float32)  # within the egg
    masks, _ = segment_jointly([boxed_image(picture(0, stripes=True)[0], small, SETTINGS)] * 2, SETTINGS, seed=0)
    outside = np.ones((96, 128), bool)
    outside[30:70, 40:90] = False
    assert not masks[0][outside].any()


def test_without_rounds_the_box_less_its_frame_stays() -> None:
    images = [boxed_image(picture(0, stripes=True)[0], np.array([0, 0, 100, 50], np.float32), SETTINGS)]
    masks, _ = segment_jointly(images, replace(SETTINGS, rounds=0), seed=0)
    expected = np.zeros((96, 128), bool)
    expected[5:45, 10:90] = True
    assert (masks[0] != expected).sum() <= 16  # corners are rounded


def test_a_plain_image_is_no_reason_to_stop() -> None:
    plain = boxed_image(np.full((20, 30, 3), 9, np.uint8), np.array([0, 0, 30, 20], np.float32), SETTINGS)
    masks, average = segment_jointly([plain], SETTINGS, seed=0)
    assert masks[0].shape == (20, 30) and np.isfinite(average).all()
