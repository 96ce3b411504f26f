from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from wsss_lightning.data.images import decode, image_size, orientation, read_image
from wsss_lightning.errors import InputError


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


def test_rgb_is_read_exactly(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.flags.writeable
    assert np.array_equal(image, pixels)


def test_size_is_height_then_width(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.jpg")
    assert image_size(tmp_path / "a.jpg") == (40, 50)


def test_greyscale_becomes_three_equal_channels(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.repeat(pixels[..., :1], 3, axis=2))


def test_palette_becomes_its_colours(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1]], np.uint8))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.save(tmp_path / "palette.png")
    assert read_image(tmp_path / "palette.png").tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    cyan = np.zeros((16, 16, 4), np.uint8)
    cyan[..., 0] = 255
    Image.fromarray(cyan, "CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    image = read_image(tmp_path / "cmyk.jpg")
    assert image.shape == (16, 16, 3)
    assert np.abs(image.astype(int) - [0, 255, 255]).max() <= 3


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("turned", range(1, 9))
def test_photographs_are_read_upright(tmp_path: Path, pixels: np.ndarray, turned: int, suffix: str) -> None:
    path, exif = tmp_path / f"turned.{suffix}", Image.Exif()
    exif[0x0112] = turned
    Image.fromarray(pixels).save(path, exif=exif, lossless=True)
    with Image.open(path) as picture:
        expected = np.array(ImageOps.exif_transpose(picture))
    assert np.array_equal(read_image(path), expected)
    assert image_size(path) == expected.shape[:2]
    assert orientation(path) == (turned if suffix != "tif" else 1)
    assert np.array(decode(path)).shape == (pixels.shape if suffix != "tif" else expected.shape)


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 300, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match=r"deep\.png .* 8 bits per channel"):
        read_image(tmp_path / "deep.png")


@pytest.mark.parametrize("keep", [0, 3, 100, 0.5, 0.95])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_truncated_image_is_refused(tmp_path: Path, pixels: np.ndarray, suffix: str, keep: float) -> None:
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(pixels).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content) if 0 < keep < 1 else keep)])
    with pytest.raises(InputError, match=rf"cut\.{suffix} cannot be decoded .* fetch it again"):
        read_image(path)


@pytest.mark.parametrize("read", [read_image, image_size])
def test_a_file_that_is_no_picture_is_refused(tmp_path: Path, read: object) -> None:
    (tmp_path / "page.jpg").write_text("<html>404</html>")
    with pytest.raises(InputError, match=r"page\.jpg cannot be decoded"):
        read(tmp_path / "page.jpg")  # type: ignore[operator]


@pytest.mark.parametrize("read", [read_image, image_size])
def test_a_missing_image_is_named(tmp_path: Path, read: object) -> None:
    with pytest.raises(InputError, match=r"none\.jpg does not exist: check the data root"):
        read(tmp_path / "none.jpg")  # type: ignore[operator]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder: put a file"):
        read_image(tmp_path)
