"""The field's old `.npy` pickles, read without running what is in them; nothing else in the project unpickles.

`numpy.load(allow_pickle=True)` calls whatever a file names. Here every name is either replaced by a function of this
file or refused, and arrays are rebuilt from dtype code, shape and bytes, because numpy's own `dtype.__setstate__`
believes flags that can corrupt memory.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from wsss_lightning.errors import InputError


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
        raise InputError(
            f"{path} cannot be read ({reason}): write it again with numpy.save, "
            "holding only numpy arrays, dict, list, str, int and float."
        ) from error


def _read(file: BinaryIO) -> Any:
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    if not read_header(file)[2].hasobject:
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    value = _Unpickler(file, encoding="latin1").load()  # how numpy reads the strings of Python 2
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
    """Stands for `numpy.ndarray`; its state may name no dtype but a checked one."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        version, shape, dtype, fortran, content = state
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
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _tensor(storage: Any, offset: int, size: Any, stride: Any, _grad: object, _hooks: object) -> NDArray[Any]:
    flat = torch.empty(0, dtype=storage.dtype)
    return flat.set_(storage, offset, size, stride).numpy()


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
    def find_class(self, module: str, name: str) -> Any:
        known = (module.replace("numpy._core", "numpy.core"), name)
        if known not in _ADMITTED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}")
        return _ADMITTED[known]
