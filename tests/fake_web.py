"""Writes a tiny crawl of web images: folders by class name with what the web really delivers."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

TURN = 6  # EXIF: to be shown turned by 90 degrees
NAMES = {
    "cat": ("a plain cat.jpg", "Kätzchen & Co.JPG", "moving.gif", "logo.png", "photo.webp", "print.jpeg", "turned.jpg"),
    "dog": ("1.jpg", "folder/1.jpg", "wide.png"),
    "tvmonitor": ("grey.bmp",),
}
UNDECODABLE = ("cat/cut.jpg", "cat/deep.png", "cat/empty.jpg", "cat/page.jpg", "dog/bomb.png")
DUPLICATES = ("cat/again.jpg", "cat/bright.png", "cat/mirrored.webp", "cat/small.jpg")  # of cat/a plain cat.jpg
AMBIGUOUS = {"cat/with a dog.jpg": "dog/with a cat.png", "dog/with a cat.png": "cat/with a dog.jpg"}


def picture(number: int, size: tuple[int, int] = (60, 80)) -> Image.Image:
    """An RGB picture (H, W) of coarse random structure, as photographs have; another one for each number."""
    coarse = np.random.default_rng(number).integers(64, 192, (24, 24, 3), np.uint8)
    return Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC)


def write_web(source: Path) -> None:
    """Write the folders of `NAMES`, `UNDECODABLE`, `DUPLICATES` and `AMBIGUOUS`; beside them a file and hidden ones."""
    for name in ("cat", "dog/folder", "dog/.thumbnails", "tvmonitor", ".git"):
        (source / name).mkdir(parents=True)
    _write_cats(source / "cat")
    _write_duplicates(source / "cat")
    _write_damaged(source / "cat")
    for number, name in enumerate(NAMES["dog"][:2], 20):
        picture(number).save(source / "dog" / name)
    picture(22, (120, 400)).save(source / "dog" / "wide.png")
    (source / "dog" / "bomb.png").write_bytes(_bomb())
    picture(30).save(source / "cat" / "with a dog.jpg", quality=90)
    picture(30).save(source / "dog" / "with a cat.png")
    picture(40).convert("L").save(source / "tvmonitor" / "grey.bmp")
    for path in ("urls.txt", "cat/.DS_Store", "dog/.thumbnails/1.jpg", ".git/HEAD"):
        (source / path).write_text("not an image")


def _write_cats(folder: Path) -> None:
    plain, other, moving, logo, photo, printed, turned = NAMES["cat"]
    picture(1).save(folder / plain, quality=95)
    picture(2).save(folder / other, format="JPEG", quality=95)
    picture(3).save(folder / moving, save_all=True, append_images=[picture(4)], comment=b"longer than in JPEG" * 5000)
    transparent = picture(5).convert("RGBA")
    transparent.paste((0, 0, 0, 0), (0, 0, 40, 60))
    transparent.save(folder / logo)
    picture(6).save(folder / photo, lossless=True)
    picture(7).convert("CMYK").save(folder / printed, quality=95)
    exif = Image.Exif()
    exif[0x0112] = TURN
    picture(8).save(folder / turned, exif=exif, quality=95)


def _write_duplicates(folder: Path) -> None:
    plain = folder / NAMES["cat"][0]
    (folder / "again.jpg").write_bytes(plain.read_bytes())
    with Image.open(plain) as original:
        ImageEnhance.Brightness(original).enhance(0.8).save(folder / "bright.png")
        ImageOps.mirror(original).save(folder / "mirrored.webp")
        original.resize((64, 48)).save(folder / "small.jpg", quality=60)


def _write_damaged(folder: Path) -> None:
    picture(50).save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:-300])
    Image.fromarray(np.full((20, 20), 3000, np.uint16)).save(folder / "deep.png")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "page.jpg").write_text("<!DOCTYPE html><title>404</title>")


def _bomb() -> bytes:
    """A PNG of a few bytes that says it has 10^10 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
