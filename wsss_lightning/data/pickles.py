"""The field's old `.npy` pickles, read without running what is in them; nothing else in the project unpickles.

`numpy.load(allow_pickle=True)` calls whatever a file names. Here every name is either replaced by a function of this
file or refused, and arrays are rebuilt from dtype code, shape and bytes, because numpy's own `dtype.__setstate__`
believes flags that can corrupt memory. What is taken of memory is bounded by the size of the file, before and while it
is unpickled (`data.opcodes`).
"""

from __future__ import annotations

import io
import math
import os
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from wsss_lightning.data.opcodes import check_opcodes
from wsss_lightning.errors import InputError, obstacle
from wsss_lightning.tensors import load_pickle

_COPIES, _SMALL = 8, 1 << 20  # how many bytes values may take beside each one of the file, and any file


def read_pickled_arrays(path: Path) -> Any:
    """Read a `.npy` file: a plain array, or a pickled object of arrays (`cls_labels.npy`, IRNet's CAM dictionaries).

    Files of numpy 1, numpy 2 and Python 2 are read. The torch tensors that IRNet leaves in its dictionaries come back
    as arrays.

    Returns:
        An array, or dict, list, tuple, str, int, float of such values; a 0-d object array is unwrapped.

    Raises:
        InputError: the file is missing or damaged, or holds anything else; nothing of it has been run.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: check the data root, or fetch the file.") from error
    except Exception as error:  # a damaged pickle can raise anything
        reason = str(error) or type(error).__name__
        raise obstacle(path, error) or InputError(
            f"{path} cannot be read ({reason}): write it again with numpy.save, "
            "holding only numpy arrays, dict, list, str, int and float."
        ) from error


def _read(file: BinaryIO) -> Any:
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if not dtype.hasobject:
        promised, held = math.prod(shape) * dtype.itemsize, os.fstat(file.fileno()).st_size - file.tell()
        if promised > held:  # numpy allocates what the header says before it reads
            raise ValueError(f"its header promises {promised} bytes, but {held} follow")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    content = file.read()
    check_opcodes(content)
    value = _Unpickler(content).load()
    return value.item() if isinstance(value, np.ndarray) and value.shape == () else value


class _DType:
    """Stands for `numpy.dtype` while unpickling."""

    def __init__(self, code: str, _align: bool = False, _copy: bool = False) -> None:
        self.value = np.dtype(str(code))
        if self.value.kind not in "biufcSUO":
            raise pickle.UnpicklingError(f"it holds values of dtype {self.value}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.value = self.value.newbyteorder(state[1])


class _Array(np.ndarray[Any, np.dtype[Any]]):
    """Stands for `numpy.ndarray`; its state may name no dtype but a checked one, and counts what it is filled with."""

    spend: Callable[[object], None]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        version, shape, dtype, fortran, content = state
        self.spend(content)
        super().__setstate__((version, shape, dtype.value, fortran, content))


def _array(_subtype: object, _shape: object, _code: object) -> _Array:
    return _Array((0,), np.uint8)


def _array_of_bytes(content: bytes, dtype: _DType, shape: tuple[int, ...], order: Any) -> NDArray[Any]:
    return np.frombuffer(content, dtype.value).reshape(shape, order=order)


def _scalar(dtype: _DType, content: bytes | str) -> Any:
    return np.frombuffer(content.encode("latin1") if isinstance(content, str) else content, dtype.value)[0]


def _encode(text: str, _encoding: str) -> bytes:
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


def _storage(content: bytes) -> Any:
    return load_pickle(io.BytesIO(content))


def _tensor(storage: Any, offset: int, size: Any, stride: Any, _grad: object, _hooks: object) -> NDArray[Any]:
    flat = torch.empty(0, dtype=storage.dtype)
    tensor = flat.set_(storage, offset, size, stride)
    # Strides of 0 repeat values without end.
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise pickle.UnpicklingError("it holds a tensor that is larger than its storage")
    return tensor.numpy()


_ADMITTED: dict[tuple[str, str], Callable[..., Any] | None] = {
    ("numpy", "ndarray"): None,  # only ever an argument of `_reconstruct`
    ("numpy", "dtype"): _DType,
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _array_of_bytes,
    ("_codecs", "encode"): _encode,  # how protocol 2 writes bytes
    ("__builtin__", "bytes"): _no_bytes,  # how protocol 2 writes b""
    ("torch.storage", "_load_from_bytes"): _storage,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("collections", "OrderedDict"): dict,  # a tensor's empty hooks
}


class _Unpickler(pickle.Unpickler):
    """Calls what is admitted, as long as that takes no more than a few times the size of the file.

    A value can be named again and again in a few bytes each, and every call can make a copy of it.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")  # how numpy reads the strings of Python 2
        self.left = _COPIES * len(content) + _SMALL

    def find_class(self, module: str, name: str) -> Any:
        known = (module.replace("numpy._core", "numpy.core"), name)
        if known not in _ADMITTED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}")
        function = _ADMITTED[known]
        return function if function in (None, dict) else partial(self._call, function)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        for argument in arguments:
            self._spend(argument)
        value = function(*arguments)
        if isinstance(value, _Array):
            value.spend = self._spend
        return value

    def _spend(self, value: object) -> None:
        self.left -= len(value) if isinstance(value, bytes | str | list | tuple) else 1
        if self.left < 0:
            raise pickle.UnpicklingError("it fills memory with copies of itself")
