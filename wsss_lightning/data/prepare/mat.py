"""MATLAB's level 5 MAT-files, read without believing what they say: scipy's reader ends Python on some damaged ones."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 1 << 26  # of a file, and of a part of it when it is no longer compressed
_HEADER = 128  # bytes before the first element
_INT32, _MATRIX, _COMPRESSED = 5, 14, 15  # kinds of elements
_STRUCTURE, _COMPLEX = 2, 0x800
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}


class TooLargeError(ValueError):
    """A part of a file is larger than `MOST_BYTES`."""


@dataclass(frozen=True)
class Variable:
    """A variable, or a field of a structure; `order`: of its bytes, as `struct` and numpy write it."""

    name: str
    flags: int
    shape: tuple[int, ...]
    parts: list[tuple[int, bytes]]  # what follows flags, shape and name
    order: str

    def field(self, name: str) -> Variable | None:
        """A field of a structure's first element; None where there is none."""
        if self.flags & 0xFF != _STRUCTURE or len(self.parts) < 2 or not prod(self.shape):
            return None
        width, names = int.from_bytes(self.parts[0][1][:4], _endian(self.order)), self.parts[1][1]
        starts = range(0, len(names), width) if width > 0 else range(0)
        fields = [_text(names[start : start + width]) for start in starts]
        if name not in fields:
            return None
        kind, content = self.parts[2 + fields.index(name)]
        if kind != _MATRIX:
            raise ValueError(f"its field {name} is no matrix")
        return _variable(content, self.order)

    def numbers(self) -> NDArray[np.generic]:
        """Its values, of its own type and shape; of a variable that holds no real numbers none, of type object."""
        kind = _CLASSES.get(self.flags & 0xFF)
        if kind is None or self.flags & _COMPLEX:
            return np.empty(0, object)
        stored, content = self.parts[0]
        if stored not in _STORED:
            raise ValueError(f"values of kind {stored} are no numbers")
        values = np.frombuffer(content, f"{self.order}{_STORED[stored]}")
        return values.astype(kind).reshape(self.shape, order="F")


def variables(content: bytes) -> dict[str, Variable]:
    """All variables of a file by name.

    Raises:
        ValueError: it is damaged, or no file of this kind. `TooLargeError`: a part of it expands too far.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise ValueError("it is no MAT-file of level 5")
    found = {}
    for kind, part in _elements(content[_HEADER:], order):
        for inner, matrix in _elements(_expanded(part), order) if kind == _COMPRESSED else [(kind, part)]:
            if inner == _MATRIX:
                variable = _variable(matrix, order)
                found[variable.name] = variable
    return found


def _expanded(part: bytes) -> bytes:
    try:
        expander = zlib.decompressobj()
        content = expander.decompress(part, MOST_BYTES + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(content) > MOST_BYTES:
        raise TooLargeError(f"a part of it has more than {MOST_BYTES:,} bytes")
    if not expander.eof:
        raise ValueError("a compressed part is cut or damaged")
    return content


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each element; one of at most four bytes has its length beside its kind."""
    place = 0
    while place + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        start = place + 8
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
            place += 8
        else:
            place += 8 + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > len(content) or (start % 8 and size > 4):
            raise ValueError("it ends within an element")
        yield kind, content[start : start + size]
    if place < len(content):
        raise ValueError("it ends within an element")


def _variable(content: bytes, order: str) -> Variable:
    parts = list(_elements(content, order))
    if len(parts) < 4 or len(parts[0][1]) < 4 or parts[1][0] != _INT32 or len(parts[1][1]) % 4:
        raise ValueError("a matrix lacks its kind, its shape or its content")
    shape = tuple(np.frombuffer(parts[1][1], f"{order}i4").tolist())
    flags = int.from_bytes(parts[0][1][:4], _endian(order))
    if min(shape, default=-1) < 0:
        raise ValueError(f"the shape {shape} is none")
    return Variable(_text(parts[2][1]), flags, shape, parts[3:], order)


def _text(name: bytes) -> str:
    return name.split(b"\0")[0].decode("latin-1")


def _endian(order: str) -> Literal["little", "big"]:
    return "little" if order == "<" else "big"
