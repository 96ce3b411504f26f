import numpy as np

from wsss_lightning.methods.coseg.saliency import saliency, salient_region


def test_the_colour_unlike_the_mean_stands_out() -> None:
    image = np.full((40, 50, 3), (60, 120, 60), np.uint8)
    image[10:20, 20:30] = (230, 30, 30)
    found = salient_region(image)
    assert found[12:18, 22:28].all() and not found[:5].any() and not found[30:].any()


def test_by_hand_in_grey() -> None:
    image = np.zeros((9, 40, 3), np.uint8)
    image[:, 20:] = 255  # L is 0 and 100, the mean 50
    np.testing.assert_allclose(saliency(image)[:, [0, 39]], 50, atol=0.1)


def test_a_plain_image_has_no_salient_part() -> None:
    assert not salient_region(np.full((9, 9, 3), 80, np.uint8)).any()
