import io
import os
import pickle
import pickletools
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wsss_lightning.data import opcodes
from wsss_lightning.data.opcodes import check_opcodes
from wsss_lightning.data.pickles import read_pickled_arrays
from wsss_lightning.errors import InputError

TAGS = {2007000032: np.array([1, 0, 0], np.float32), 2007000039: np.array([0, 1, 1], np.float32)}


class Call:
    """Unpickles as a call of `function`, then with `state` set."""

    def __init__(self, function: Any, *args: Any, state: Any = None) -> None:
        self.reduced = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> Any:
        return self.reduced


def _npy(path: Path, pickled: bytes) -> Path:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
    path.write_bytes(file.getvalue() + pickled)
    return path


def _assert_tags(value: Any) -> None:
    assert list(value) == list(TAGS)
    for key, expected in TAGS.items():
        assert isinstance(value[key], np.ndarray)
        assert value[key].dtype == np.float32
        assert np.array_equal(value[key], expected)


def test_what_numpy_saves_today_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", TAGS)  # type: ignore[arg-type]
    _assert_tags(read_pickled_arrays(tmp_path / "a.npy"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    _assert_tags(read_pickled_arrays(_npy(tmp_path / "a.npy", pickle.dumps(TAGS, protocol))))


@pytest.mark.parametrize("package", [b"numpy.core", b"numpy._core"])
@pytest.mark.parametrize("protocol", [0, 2, 3])
def test_module_names_of_numpy_1_and_2_are_known(tmp_path: Path, package: bytes, protocol: int) -> None:
    pickled = pickle.dumps(TAGS, protocol).replace(b"numpy._core", b"numpy.core").replace(b"numpy.core", package)
    assert package + b".multiarray" in pickled
    _assert_tags(read_pickled_arrays(_npy(tmp_path / "a.npy", pickled)))


def test_python_2_pickles_are_read(tmp_path: Path) -> None:
    values = np.array([0.0, -1.5], "<f4")
    pickled = (
        b"\x80\x02}U\x0b2007_000032cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x08" + values.tobytes() + b"tbs."
    )
    value = read_pickled_arrays(_npy(tmp_path / "a.npy", pickled))
    assert list(value) == ["2007_000032"]
    assert value["2007_000032"].tolist() == [0.0, -1.5]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(6.0).reshape(2, 3)[:, ::2],
        np.array([True, False]),
        np.array(["cat", "dog"]),
        np.array([b"cat"]),
        np.zeros((0, 3), np.float16),
        np.array(["cat", 1], dtype=object),
        np.float32(0.1),
        np.int64(-3),
    ],
    ids=["big endian", "fortran", "strided", "bool", "str", "bytes", "empty", "objects", "float scalar", "int scalar"],
)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_any_plain_array_survives(tmp_path: Path, array: Any, protocol: int) -> None:
    value = read_pickled_arrays(_npy(tmp_path / "a.npy", pickle.dumps({"x": array}, protocol)))["x"]
    assert value.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")  # numpy unpickles to the machine's order
    assert value.shape == array.shape
    assert np.array_equal(value, array)


def test_plain_values_survive(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, "x", True, None], "b": (1, {"c": 2})}
    assert read_pickled_arrays(_npy(tmp_path / "a.npy", pickle.dumps(value))) == value


def test_an_array_without_pickle_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.eye(3))
    assert np.array_equal(read_pickled_arrays(tmp_path / "a.npy"), np.eye(3))


def test_an_array_of_objects_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"x": 1}, [2]], dtype=object))
    assert read_pickled_arrays(tmp_path / "a.npy").tolist() == [{"x": 1}, [2]]


def test_the_tensors_in_irnets_cam_dictionary_become_arrays(tmp_path: Path) -> None:
    cam = torch.arange(24.0).reshape(2, 3, 4)
    high = np.arange(48, dtype=np.float32).reshape(2, 4, 6)
    table: Any = {"keys": torch.tensor([3, 7]), "cam": cam.transpose(1, 2), "high_res": high}
    np.save(tmp_path / "a.npy", table)
    value = read_pickled_arrays(tmp_path / "a.npy")
    assert all(isinstance(array, np.ndarray) for array in value.values())
    assert value["keys"].tolist() == [3, 7]
    assert np.array_equal(value["cam"], cam.numpy().transpose(0, 2, 1))
    assert np.array_equal(value["high_res"], high)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    victim = tmp_path / "run"
    attack = {"a": Call(os.system, f"touch {victim}")}
    path = _npy(tmp_path / "a.npy", pickle.dumps(attack, protocol))
    with pytest.raises(InputError, match=r"a\.npy cannot be read \(it holds \w+\.system\).*only numpy arrays"):
        read_pickled_arrays(path)
    assert not victim.exists()
    np.load(path, allow_pickle=True)
    assert victim.exists()  # the attack works where it is allowed


def test_a_malicious_pickle_inside_a_tensor_is_refused_and_not_run(tmp_path: Path) -> None:
    victim = tmp_path / "run"
    inner = io.BytesIO()
    torch.save(Call(os.system, f"touch {victim}"), inner)
    attack = Call(torch.storage._load_from_bytes, inner.getvalue())
    path = _npy(tmp_path / "a.npy", pickle.dumps(attack))
    with pytest.raises(InputError, match=r"a\.npy cannot be read"):
        read_pickled_arrays(path)
    assert not victim.exists()


@pytest.mark.parametrize(
    "thing",
    [
        Call(eval, "1"),
        Call(getattr, "x", "upper"),
        Call(np.load, "x"),
        Call(np.ndarray, (10**9,)),
        Call(torch.load, "x"),
        Path("x"),
        complex(1, 2),
        np.ma.array([1]),
        np.datetime64("2020-01-01"),
        np.zeros(2, [("a", "f4"), ("b", "i4")]),
    ],
    ids=lambda thing: str(type(thing).__name__),
)
def test_everything_else_is_refused(tmp_path: Path, thing: Any) -> None:
    with pytest.raises(InputError, match=r"a\.npy cannot be read"):
        read_pickled_arrays(_npy(tmp_path / "a.npy", pickle.dumps([thing])))


def test_a_dtype_cannot_lie_about_its_flags(tmp_path: Path) -> None:
    pointers = Call(np.dtype, "O8", False, True, state=(3, "|", None, None, None, -1, -1, 0))
    reconstruct = np.arange(2).__reduce__()[0]
    attack = Call(reconstruct, np.ndarray, (0,), b"b", state=(1, (1,), pointers, False, b"\x41" * 8))
    with pytest.raises(InputError, match=r"a\.npy cannot be read"):
        read_pickled_arrays(_npy(tmp_path / "a.npy", pickle.dumps(attack)))


@pytest.mark.parametrize("keep", [0, 5, 60, 140, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    np.save(tmp_path / "a.npy", TAGS)  # type: ignore[arg-type]
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:keep])
    with pytest.raises(InputError, match=r"a\.npy cannot be read .* write it again"):
        read_pickled_arrays(tmp_path / "a.npy")


def test_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(pickle.dumps(TAGS))
    with pytest.raises(InputError, match=r"a\.npy cannot be read"):
        read_pickled_arrays(tmp_path / "a.npy")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.npy does not exist"):
        read_pickled_arrays(tmp_path / "none.npy")


def _long_binput(number: int) -> bytes:
    return b"\x80\x02]r" + number.to_bytes(4, "little") + b"."


def _copies(count: int) -> bytes:
    """A list of `count` arrays that are copies of one text of 200,000 bytes, each in some 20 bytes."""
    text = (
        b"\x80\x02](X"
        + (200_000).to_bytes(4, "little")
        + b"a" * 200_000
        + b"q\x010c_codecs\nencode\nq\x02X\x06\0\0\0latin1q\x030"
    )
    return text + b"h\x02h\x01h\x03\x86R" * count + b"e."


def _repeated_tensor() -> bytes:
    return pickle.dumps(torch.zeros(1).expand(50_000, 50_000))


BOMBS = {
    "a memo of 2**28 places": _long_binput(2**28),
    "a memo of 2**31 - 1 places": _long_binput(2**31 - 1),
    "a memo in text": b"]p2147483000\n.",
    "a memo of a negative place": b"]p-5\n.",
    "bytes of 2**40": b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"abc.",
    "a text of 2**31": b"\x80\x02X" + (2**31).to_bytes(4, "little") + b"abc.",
    "a bytearray of 2**33": b"\x80\x05\x96" + (2**33).to_bytes(8, "little") + b"abc.",
    "a frame of 2**40": b"\x80\x04\x95" + (2**40).to_bytes(8, "little") + b"].",
    "copies": _copies(50_000),
    "a tensor with strides of 0": _repeated_tensor(),
    "an extension": b"\x82\x01.",
    "a persistent id": b"Pabc\n.",
    "no end": b"\x80\x02]" * 5,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_file_cannot_fill_the_memory(bomb: str, tmp_path: Path) -> None:
    path = _npy(tmp_path / "a.npy", BOMBS[bomb])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"a\.npy cannot be read"):
        read_pickled_arrays(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_a_header_cannot_promise_more_than_the_file_holds(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**9,)})
    (tmp_path / "a.npy").write_bytes(file.getvalue() + b"\0" * 64)
    with pytest.raises(InputError, match="promises 8000000000 bytes, but 64 follow"):
        read_pickled_arrays(tmp_path / "a.npy")


def test_the_instructions_are_those_of_pickletools() -> None:
    values = [TAGS, {"a": torch.ones(2)}, list(range(300)), "x" * 70_000, b"y" * 300, 2**70, -1.5, {1, 2}, (), True]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        check_opcodes(pickle.dumps(values, protocol))
    known = {*opcodes._FIXED, *opcodes._COUNTED, *opcodes._LINES, *opcodes._MEMO, *b".p\x95"}
    for code in pickletools.opcodes:
        ours = opcodes._FIXED.get(ord(code.code))
        assert ours is None or ours == (code.arg.n if code.arg else 0), code.name
        assert ord(code.code) in known or code.name.startswith(("EXT", "PERSID", "OBJ", "NEXT_", "READONLY_")), (
            code.name
        )
