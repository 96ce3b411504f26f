from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
from fake_web import picture
from PIL import Image, ImageEnhance, ImageOps

from wsss_lightning.data.prepare.duplicates import SIGNS, HashSigns, hash_picture, near_pairs
from wsss_lightning.errors import InputError

ODD = np.arange(1, SIGNS + 1) % 16 % 2 == 1


def _hash(image: Image.Image, folder: Path, name: str = "image.png", **options: int) -> HashSigns:
    image.save(folder / name, **options)
    return hash_picture(folder / name)


def _different(a: HashSigns, b: HashSigns) -> int:
    return int((a != b).sum())


def test_the_hash_is_the_signs_of_the_low_frequencies(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    frequencies = scipy.fft.dctn(pixels.astype(float))[:16, :16].ravel()[1:]
    assert np.array_equal(_hash(Image.fromarray(pixels), tmp_path), np.sign(frequencies))


def test_a_grating_has_one_frequency_and_its_place(tmp_path: Path) -> None:
    columns = np.cos(np.pi * 3 * (np.arange(32) + 0.5) / 32)  # three half waves along the width
    grating = np.tile(np.round(127 + 100 * columns), (32, 1)).astype(np.uint8)
    assert _hash(Image.fromarray(grating), tmp_path)[3 - 1] == 1
    assert _hash(Image.fromarray(255 - grating), tmp_path)[3 - 1] == -1


def test_mirroring_negates_the_odd_frequencies(tmp_path: Path) -> None:
    image = picture(1, (32, 32))
    plain, mirrored = _hash(image, tmp_path), _hash(ImageOps.mirror(image), tmp_path)
    assert np.array_equal(mirrored, np.where(ODD, -plain, plain))


def test_even_pictures_are_all_alike(tmp_path: Path) -> None:
    hashes = [_hash(Image.new("RGB", (50 + grey, 40), (grey,) * 3), tmp_path) for grey in (0, 77, 255)]
    assert len(near_pairs(np.stack(hashes), within=0)) == 3


@pytest.mark.parametrize("number", range(3))
def test_altered_copies_are_nearer_than_other_pictures(tmp_path: Path, number: int) -> None:
    image = picture(number, (300, 400))
    plain = _hash(image, tmp_path)
    copies = [
        _hash(image, tmp_path, "low.jpg", quality=40),
        _hash(image.resize((100, 75)), tmp_path),
        _hash(ImageEnhance.Brightness(image).enhance(0.8), tmp_path),
        _hash(image.crop((3, 3, 397, 297)), tmp_path),
        _hash(image.convert("L"), tmp_path),
    ]
    assert max(_different(plain, copy) for copy in copies) <= 40
    assert min(_different(plain, _hash(picture(other), tmp_path)) for other in range(10, 30)) > 79


def test_a_damaged_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_text("<html>")
    with pytest.raises(InputError, match=r"page\.jpg cannot be decoded"):
        hash_picture(tmp_path / "page.jpg")


def _related_signs(count: int) -> HashSigns:
    """Random signs, most of them a few signs away from an earlier one, some of these mirrored."""
    random = np.random.default_rng(0)
    signs = random.choice(np.array([-1, 1], np.int8), (count, SIGNS))
    for row in range(1, count):
        if random.random() < 0.7:
            signs[row] = signs[random.integers(row)] * np.where(random.random(SIGNS) < 0.05, -1, 1)
            signs[row] *= np.where(ODD & (random.random() < 0.3), -1, 1).astype(np.int8)
    return signs


@pytest.mark.parametrize("block", [1, 7, 256])
@pytest.mark.parametrize("within", [-1, 0, 8, 30, 255])
def test_pairs_are_those_of_a_loop_over_all(within: int, block: int) -> None:
    signs = _related_signs(60)
    signs[50] = signs[3]
    mirrored = np.where(ODD, -signs, signs)
    pairs = [
        [i, j]
        for i, j in combinations(range(60), 2)
        if min(_different(signs[i], signs[j]), _different(signs[i], mirrored[j])) <= within
    ]
    assert near_pairs(signs, within=within, block=block).tolist() == pairs
    assert {-1: 0, 255: 60 * 59 // 2}.get(within, len(pairs)) == len(pairs)
    assert ([3, 50] in pairs) == (within >= 0)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_pictures_have_no_pair(count: int) -> None:
    assert near_pairs(np.ones((count, SIGNS), np.int8), within=40).shape == (0, 2)
