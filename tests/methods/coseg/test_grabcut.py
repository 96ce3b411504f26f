import numpy as np
import pytest
from fake_collection import picture

from wsss_lightning.methods.coseg.grabcut import centre_box, grabcut


def test_the_thing_in_the_middle_is_found_and_nothing_outside_the_box() -> None:
    image, truth = picture(1, stripes=True)
    box = centre_box((96, 128), 0.1)
    assert box.tolist() == [13, 10, 115, 86]
    found = grabcut(image, box, rounds=3)
    assert (found & truth).sum() / (found | truth).sum() > 0.8
    assert not found[:10].any() and not found[:, :13].any()
    np.testing.assert_array_equal(found, grabcut(image, box, rounds=3))


@pytest.mark.parametrize("box", [[0, 0, 128, 96], [-5, -5, 300, 300], [60, 40, 60, 40], [127, 95, 128, 96]])
def test_a_box_at_or_beyond_the_border_is_cut_to_the_image(box: list[float]) -> None:
    found = grabcut(picture(1, stripes=True)[0], np.array(box, np.float32), rounds=1)
    assert found.shape == (96, 128) and not found[0].any() and not found[:, 0].any()
