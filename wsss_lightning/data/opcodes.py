"""The instructions of a pickle, read without following them: what they ask for must be in the file.

The unpickler believes numbers: a file of 130 bytes can ask for a memo of 2**31 places, or for a text of 2**40 bytes.
"""

from __future__ import annotations

import pickle

# By what follows an instruction: so many bytes, or a length in so many bytes and then as much, or a line.
_FIXED = {
    **dict.fromkeys(b".012NQR\x81\x85\x86\x87\x88\x89()]}abdeulst\x8f\x90\x91\x92\x93\x94", 0),
    **dict.fromkeys(b"Kh\x80", 1),
    **dict.fromkeys(b"M", 2),
    **dict.fromkeys(b"Jj", 4),
    **dict.fromkeys(b"G", 8),
}
_COUNTED = {**dict.fromkeys(b"UC\x8a\x8c", 1), **dict.fromkeys(b"TBX\x8b", 4), **dict.fromkeys(b"\x8d\x8e\x96", 8)}
_LINES = {**dict.fromkeys(b"FILSVg", 1), **dict.fromkeys(b"ci", 2)}
_MEMO = {**dict.fromkeys(b"q", 1), **dict.fromkeys(b"r", 4)}
_FRAME, _STOP, _PUT = 0x95, ord("."), ord("p")


def check_opcodes(content: bytes) -> None:
    """Raise `pickle.UnpicklingError` where a pickle asks for more than it holds, or for what no array needs.

    The number of a place in the memo must be less than the size of the file: the unpickler allocates all up to it.
    """
    place, size = 0, len(content)
    while place < size:
        code = content[place]
        place += 1
        if code == _STOP:
            return
        place = _behind(content, place, code)
        if place > size:
            raise pickle.UnpicklingError("it is cut, or asks for more than it holds")
    raise pickle.UnpicklingError("it has no end")


def _behind(content: bytes, place: int, code: int) -> int:
    """Where the next instruction is."""
    if code in _FIXED:
        return place + _FIXED[code]
    if code in _MEMO:
        return _checked(int.from_bytes(content[place : place + _MEMO[code]], "little"), content, place + _MEMO[code])
    if code in _COUNTED:
        width = _COUNTED[code]
        return place + width + int.from_bytes(content[place : place + width], "little")
    if code == _FRAME:
        held = len(content) - place - 8
        return place + 8 if int.from_bytes(content[place : place + 8], "little") <= held else len(content) + 1
    if code == _PUT:
        end = _end_of_line(content, place)
        number = content[place : end - 1]
        return _checked(int(number) if number.isdigit() and len(number) < 20 else len(content), content, end)
    for _ in range(_LINES.get(code, 0)):
        place = _end_of_line(content, place)
    if code not in _LINES:
        raise pickle.UnpicklingError(f"it has the instruction {bytes([code])!r}")
    return place


def _end_of_line(content: bytes, place: int) -> int:
    end = content.find(b"\n", place)
    return len(content) + 1 if end < 0 else end + 1


def _checked(memo: int, content: bytes, place: int) -> int:
    if memo >= len(content):
        raise pickle.UnpicklingError(f"it numbers {memo} values, more than it can hold")
    return place
