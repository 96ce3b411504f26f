import numpy as np
import pytest
import torch
from fake_skies import HALF, NETWORK

from wsss_lightning.data.samples import Normalisation
from wsss_lightning.errors import InputError
from wsss_lightning.methods.patches.cropping import crop_around, draw_patches


def places(height: int, width: int) -> np.ndarray:
    """An image whose first two channels say where a pixel is."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, rows], axis=-1).astype(np.uint8)


def test_every_sub_image_gives_one_patch_anywhere_in_it() -> None:
    corners: list[set[tuple[int, int]]] = [set() for _ in range(9)]
    for seed in range(400):
        drawn = draw_patches(places(30, 32), count=9, size=8, generator=np.random.default_rng(seed))
        assert drawn.shape == (9, 8, 8, 3)
        for number, patch in enumerate(drawn):
            corners[number].add((int(patch[0, 0, 0]), int(patch[0, 0, 1])))
            assert np.array_equal(patch[..., 0] - patch[0, 0, 0], np.mgrid[:8, :8][0])
    # 32 px are divided at 10 and 21: the middle sub-image has 11 columns, the others 10 and 11.
    for number, (top, lefts) in enumerate([(t, ls) for t in (0, 10, 20) for ls in ((0, 2), (10, 13), (21, 24))]):
        expected = {(row, column) for row in range(top, top + 3) for column in range(lefts[0], lefts[1] + 1)}
        assert corners[number] == expected


def test_without_a_generator_patches_are_in_the_middle() -> None:
    drawn = draw_patches(places(20, 20), count=4, size=6, generator=None)
    assert drawn[:, 0, 0, :2].tolist() == [[2, 2], [2, 12], [12, 2], [12, 12]]


def test_patches_larger_than_sub_images_are_refused() -> None:
    with pytest.raises(InputError, match="Patches of 11 px do not fit into sub-images of 10 px"):
        draw_patches(places(32, 32), count=9, size=11, generator=None)


def test_crops_are_what_the_dense_network_sees() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 17, 3), np.uint8)
    made = NETWORK(generator=torch.Generator().manual_seed(0)).double().requires_grad_(False)
    normalise = Normalisation(HALF, HALF)
    dense = made.dense(normalise(image)[None].double())[0]
    rows, columns = [0, 19, 7, 3], [0, 16, 8, 15]
    crops = crop_around(image, rows, columns, size=made.size)
    assert torch.allclose(made(normalise.batch(crops).double()), dense[:, rows, columns].T, atol=1e-12)
