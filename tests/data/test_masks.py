import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss_lightning.data.masks import colorize, palette, read_mask, write_mask
from wsss_lightning.errors import InputError

# VOC's development kit, VOClabelcolormap
FIRST = (
    *((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)),
    *((128, 128, 128), (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0), (64, 0, 128), (192, 0, 128)),
    *((64, 128, 128), (192, 128, 128), (0, 64, 0), (128, 64, 0), (0, 192, 0), (128, 192, 0), (0, 64, 128)),
)
GOLDEN = {**dict(enumerate(FIRST)), 255: (224, 224, 192)}


@pytest.fixture
def mask() -> np.ndarray:
    return np.arange(256, dtype=np.uint8).reshape(8, 32)


def test_palette_is_vocs() -> None:
    colours = palette()
    assert colours.shape == (256, 3)
    assert colours.dtype == np.uint8
    assert {index: tuple(map(int, colours[index])) for index in GOLDEN} == GOLDEN
    assert len({tuple(colour) for colour in colours.tolist()}) == 256


def test_written_mask_is_an_index_png_with_vocs_palette(tmp_path: Path, mask: np.ndarray) -> None:
    write_mask(tmp_path / "a.png", mask)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "P"
        assert picture.format == "PNG"
        assert np.array_equal(np.array(picture), mask)
        assert np.array_equal(np.array(picture.convert("RGB")), colorize(mask))


def test_round_trip_keeps_every_index_and_leaves_no_other_file(tmp_path: Path, mask: np.ndarray) -> None:
    write_mask(tmp_path / "a.png", mask)
    assert np.array_equal(read_mask(tmp_path / "a.png"), mask)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_failed_write_keeps_the_old_mask(tmp_path: Path, mask: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mask(tmp_path / "a.png", mask)

    def interrupted(self: Image.Image, path: Path, format: str) -> None:
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_mask(tmp_path / "a.png", mask + 1)
    assert np.array_equal(read_mask(tmp_path / "a.png"), mask)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("wrong", [np.zeros((2, 2), np.int64), np.zeros((2, 2, 3), np.uint8)])
def test_write_refuses_another_dtype_or_shape(tmp_path: Path, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"\(H, W\) uint8"):
        write_mask(tmp_path / "a.png", wrong)


def test_greyscale_indices_are_read_as_they_are(tmp_path: Path, mask: np.ndarray) -> None:
    Image.fromarray(mask).save(tmp_path / "grey.png")
    assert np.array_equal(read_mask(tmp_path / "grey.png"), mask)


def test_a_palette_of_few_bits_is_read_as_indices(tmp_path: Path) -> None:
    small = np.array([[0, 1], [2, 3]], np.uint8)
    picture = Image.fromarray(small)
    picture.putpalette([7, 8, 9] * 4)
    picture.save(tmp_path / "two.png", bits=2)
    assert (tmp_path / "two.png").read_bytes()[24] == 2
    assert np.array_equal(read_mask(tmp_path / "two.png"), small)


def test_greyscale_of_few_bits_is_refused_because_pillow_stretches_it(tmp_path: Path) -> None:
    path = tmp_path / "four.png"
    _write_png(path, depth=4, rows=bytes([0, 0x01]), width=2, height=1)
    with Image.open(path) as picture:
        assert np.array(picture).tolist() == [[0, 17]]
    with pytest.raises(InputError, match=r"four\.png is 4-bit greyscale"):
        read_mask(path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colours_are_refused_with_the_reason(tmp_path: Path, mask: np.ndarray, mode: str) -> None:
    Image.fromarray(colorize(mask)).convert(mode).save(tmp_path / "colours.png")
    with pytest.raises(InputError, match=r"colours\.png holds colours .* class indices .*mode P"):
        read_mask(tmp_path / "colours.png")


def test_a_jpeg_is_refused(tmp_path: Path, mask: np.ndarray) -> None:
    Image.fromarray(mask).save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"a\.jpg is not a PNG"):
        read_mask(tmp_path / "a.jpg")


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 300, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match=r"deep\.png is 16-bit"):
        read_mask(tmp_path / "deep.png")


@pytest.mark.parametrize("keep", [0, 20, 60, 900, -1])
def test_a_truncated_mask_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.png"
    write_mask(path, np.random.default_rng(0).integers(0, 21, (64, 64), np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: keep if keep >= 0 else len(content) // 2])
    with pytest.raises(InputError, match=r"cut\.png cannot be decoded .* fetch it again"):
        read_mask(path)


def test_a_missing_mask_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.png does not exist"):
        read_mask(tmp_path / "none.png")


def test_masks_need_neither_torch_nor_lightning() -> None:
    code = "import sys, wsss_lightning.data.masks; print({'torch', 'pytorch_lightning'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout == "set()\n"


def _write_png(path: Path, *, depth: int, rows: bytes, width: int, height: int) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
