"""Photographs, masks and MATLAB files with something wrong in them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from broken_case import Broken, nothing
from PIL import Image
from scipy.io import savemat

from wsss_lightning.data.images import image_size, read_image
from wsss_lightning.data.masks import palette, read_mask
from wsss_lightning.data.prepare.sbd import read_sbd_mask
from wsss_lightning.data.prepare.yto import read_binary_mask

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
BLACK, CAT, PERSON = (0, 0, 0), tuple(palette()[8].tolist()), tuple(palette()[15].tolist())


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(width: int, height: int, *, depth: int = 8, colours: int = 0, data: bytes = b"") -> bytes:
    """A PNG whose header promises any size."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def _photographs() -> list[Broken]:
    case = partial(Broken, name="a.jpg", read=lambda path: read_image(path).shape)
    rgb = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8))
    jpeg, whole = encoded(rgb, "JPEG"), encoded(rgb, "PNG")
    flipped = bytearray(whole)
    flipped[60] ^= 0xFF
    broken: dict[str, bytes | str] = {
        "empty": b"",
        "one byte": b"\xff",
        "an HTML page": "<html>404</html>",
        "text": "hello",
        "a PDF": "%PDF-1.4",
        "SVG": "<svg/>",
        "JPEG cut to half": jpeg[: len(jpeg) // 2],
        "JPEG's header": jpeg[:20],
        "PNG cut to half": whole[: len(whole) // 2],
        "PNG's header": whole[:33],
        "PNG of no rows": png(8, 6),
        "PNG of no width": png(0, 6),
        "PNG with a wrong sum": bytes(flipped),
        "PNG of an unknown kind": png(8, 6, colours=5),
        "GIF's header": b"GIF89a\x08\x00\x06\x00",
        "BMP of nothing": b"BM" + b"\0" * 60,
        "TIFF of nothing": b"II*\0\x08\0\0\0\0\0",
        "WebP of nothing": b"RIFF\x10\0\0\0WEBPVP8 \0\0\0\0",
        "ZIP": b"PK\x03\x04" + b"\0" * 40,
        "a Git LFS pointer": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
    }
    huge = {"PNG": png(20_000, 10_000), "PNG of 169 Mpx": png(13_000, 13_000), "PNG of gigapixels": png(60_000, 60_000)}
    huge |= {"GIF": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\0;", "BMP": _bmp(30_000, 30_000)}
    exif = Image.Exif()
    exif[0x0112] = 6
    read = {
        "turned": (encoded(rgb, "JPEG", exif=exif), (8, 6, 3)),
        "damaged EXIF data": (encoded(rgb, "JPEG", exif=b"Exif\0\0nonsense"), (6, 8, 3)),
        "a GIF by the name of JPEG": (encoded(rgb, "GIF"), (6, 8, 3)),
        "one pixel": (encoded(Image.new("L", (1, 1)), "PNG"), (1, 1, 3)),
        "CMYK": (encoded(rgb.convert("CMYK"), "JPEG"), (6, 8, 3)),
    }
    return [
        *(
            case(f"photograph {about}", content=content, refused="cannot be decoded")
            for about, content in broken.items()
        ),
        *(
            case(f"huge {about}", content=content, refused="too many pixels: .* at most 67,108,864")
            for about, content in huge.items()
        ),
        *(
            case(f"huge {about}, its size", content=content, read=image_size, refused="too many pixels")
            for about, content in huge.items()
        ),
        *(case(f"photograph {about}", content=content, value=value) for about, (content, value) in read.items()),
        case(
            "photograph of 16 bits",
            content=encoded(Image.fromarray(GREY.astype(np.uint16)), "PNG"),
            refused="8 bits per channel",
        ),
        case(
            "photograph of floats",
            content=encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"),
            refused="8 bits per channel",
        ),
        case("photograph is missing", content=nothing, refused="does not exist"),
        case(
            "photograph is a link to itself", content=lambda path: path.symlink_to(path), refused="leads back to itself"
        ),
        case("photograph is a link to nothing", content=lambda path: path.symlink_to("gone"), refused="does not exist"),
        case("photograph is a link to a folder", content=lambda path: path.symlink_to("/"), refused="is a folder: put"),
        case("photograph is a device", content=lambda path: path.symlink_to("/dev/null"), refused="cannot be decoded"),
        *(
            case(f"photograph turned, {kind}", content=encoded(rgb, kind, exif=exif), name=name, value=(8, 6, 3))
            for kind, name in (("PNG", "a.png"), ("WEBP", "a.webp"), ("TIFF", "a.tif"))
        ),
        case("photograph is a folder", content=Path.mkdir, refused="is a folder: put a file"),
    ]


def _bmp(width: int, height: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    )


def _indexed(*colours: tuple[int, ...], first: int = 0) -> bytes:
    """A mask whose indices from `first` on have these colours."""
    mask = Image.fromarray((np.arange(48) % len(colours) + first).astype(np.uint8).reshape(6, 8))
    mask.putpalette([0] * 3 * first + [value for colour in colours for value in colour])
    return encoded(mask, "PNG")


def _masks() -> list[Broken]:
    case = partial(Broken, name="a.png", read=lambda path: sorted(set(read_mask(path).ravel().tolist())))
    grey = Image.fromarray(GREY)
    pictures: dict[str, tuple[bytes, str]] = {
        "RGB": (encoded(grey.convert("RGB"), "PNG"), r"holds colours \(RGB\)"),
        "RGBA": (encoded(grey.convert("RGBA"), "PNG"), r"holds colours \(RGBA\)"),
        "alpha": (encoded(grey.convert("LA"), "PNG"), "greyscale with alpha"),
        "1 bit": (encoded(grey.convert("1"), "PNG"), "1-bit greyscale"),
        "4 bits": (png(8, 6, depth=4, data=b"\0\0\0\0\0" * 6), "4-bit greyscale"),
        "16 bits": (encoded(Image.fromarray(GREY.astype(np.uint16)), "PNG"), "16-bit greyscale"),
        "JPEG": (encoded(grey, "JPEG"), "is not a PNG"),
        "GIF": (encoded(grey, "GIF"), "is not a PNG"),
        "cut": (encoded(grey, "PNG")[:50], "cannot be decoded"),
        "empty": (b"", "cannot be decoded"),
        "huge": (png(20_000, 20_000), "too many pixels"),
    }
    moved = {
        "a class at 1": (BLACK, CAT),
        "two classes": (BLACK, PERSON, CAT),
        "background last": (PERSON, BLACK),
        "classes alone": (CAT, PERSON),
    }
    kept = {
        "grey": ((0, 0, 0), (128, 128, 128)),
        "random": ((0, 0, 0), (17, 201, 3), (250, 9, 99)),
        "black alone": (BLACK,),
        "VOC's colours beside another": (BLACK, CAT, (1, 2, 3)),
        "white on black": (BLACK, (255, 255, 255)),
    }
    return [
        *(case(f"mask {about}", content=content, refused=sentence) for about, (content, sentence) in pictures.items()),
        *(
            case(f"mask renumbered, {about}", content=_indexed(*colours), refused="numbered anew")
            for about, colours in moved.items()
        ),
        *(
            case(f"mask's palette {about}", content=_indexed(*colours), value=[*range(len(colours))])
            for about, colours in kept.items()
        ),
        case("mask of one class where VOC has it", content=_indexed(PERSON, first=15), value=[15]),
        case("mask with another colour of 255", content=_indexed((255, 255, 255), first=255), value=[255]),
        case("mask is missing", content=nothing, refused="does not exist"),
        Broken(
            "YTO's mask of grey levels", "a.png", encoded(grey, "PNG"), read_binary_mask, "of 0 and 255, or of 0 and 1"
        ),
    ]


def _segmentations() -> list[Broken]:
    def read(path: Path) -> object:
        return sorted(set(read_sbd_mask(path).ravel().tolist()))

    case = partial(Broken, name="a.mat", read=read)

    def saved(**variables: Any) -> Callable[[Path], object]:
        return lambda path: savemat(path, variables, do_compression=True)

    def segmentation(value: Any) -> Callable[[Path], object]:
        return saved(GTcls={"Segmentation": value})

    stream = io.BytesIO()
    savemat(stream, {"GTcls": {"Segmentation": np.zeros((6, 8), np.uint8)}})
    content = stream.getvalue()
    bomb = content[:128] + struct.pack("<II", 15, len(zlib.compress(bytes(1 << 27)))) + zlib.compress(bytes(1 << 27))
    values: dict[str, tuple[Any, str]] = {
        "21": (np.full((6, 8), 21, np.uint8), "the value 21"),
        "255": (np.full((6, 8), 255, np.uint8), "the value 255"),
        "negative": (np.full((6, 8), -1, np.int16), "the value -1"),
        "half": (np.full((6, 8), 0.5), r"the value 0\.5"),
        "nan": (np.full((6, 8), np.nan), "the value nan"),
        "three axes": (np.zeros((6, 8, 3), np.uint8), r"of shape \(6, 8, 3\)"),
        "empty": (np.zeros((0, 8), np.uint8), r"of shape \(0"),
        "text": ("cat", "values of shape"),
        "complex": (np.full((6, 8), 1j), "values of shape"),
        "a cell": (np.array([[1, "a"]], dtype=object), "values of shape"),
        "a structure": ({"a": 1}, "values of shape"),
    }
    files: dict[str, tuple[Any, str]] = {
        "of MATLAB 7.3": (b"MATLAB 7.3 MAT-file" + b" " * 493 + b"\x89HDF\r\n\x1a\n", "save it with `-v7`"),
        "HDF5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 200, "save it with `-v7`"),
        "empty": (b"", "cannot be read"),
        "text": ("hello", "cannot be read"),
        "cut": (content[: len(content) // 2], "cannot be read"),
        **{f"with {count} zeros": (content[:-count] + bytes(count), "cannot be read") for count in (64, 80, 96)},
        "that expands": (bomb, "more than 67,108,864 bytes"),
        "of instances": (saved(GTinst={"Segmentation": 1}), "holds GTinst but no GTcls"),
        "of nothing": (saved(), "holds nothing but no GTcls|cannot be read"),
        "of a matrix": (saved(GTcls=np.zeros((6, 8))), "no structure with a field Segmentation"),
        "of another field": (saved(GTcls={"Labels": 1}), "no structure with a field Segmentation"),
    }
    return [
        *(
            case(f"mat {about}", content=segmentation(value), refused=sentence)
            for about, (value, sentence) in values.items()
        ),
        *(case(f"mat {about}", content=content, refused=sentence) for about, (content, sentence) in files.items()),
        case("mat of whole doubles", content=segmentation(np.full((6, 8), 20.0)), value=[20]),
        case("mat is missing", content=nothing, refused="does not exist"),
    ]


CASES = [*_photographs(), *_masks(), *_segmentations()]
