"""Signatures that are read from source text against those that Python itself tells."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from hydra.utils import get_object

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.modules import module_path, sources, targets
from wsss_lightning.pipeline.signatures import signature_of

SOURCE = """
from __future__ import annotations
from dataclasses import dataclass, field
from typing import overload
from .other import Base, renamed as known
from .stars import *

@overload
def twice(a: int) -> int: ...
@overload
def twice(a: str, b: int) -> str: ...
def twice(a, b=0, *, c, d=1): ...

try:
    import no_such_module
except ImportError:
    def fallback(x): ...

def catches_all(**kwargs): ...
assigned = twice

class Inherits(Base): ...
class Bare: ...
class Catches:
    def __init__(self, *arguments, **named): ...
class Foreign(dict): ...

@dataclass
class Fields:
    a: int
    b: int = 0

@dataclass
class MoreFields(Fields):
    c: int = 1

@dataclass(kw_only=True)
class ThirdFields(MoreFields):
    a: int = 2
    c: int = field(init=False)

@dataclass(kw_only=True, eq=False)
class Over(Catches):
    d: int
    e: int = 1

@dataclass
class Computed:
    a: int = len("abc")
    b: bytes = b"no JSON"
    c: int = -1
    d: object = (0.5, [None])

class Methods:
    @classmethod
    def make(cls, size): ...
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"package_of_{tmp_path.name}"  # a name of its own: what is read once is remembered
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("from .module import twice\n")
    (folder / "module.py").write_text(SOURCE)
    (folder / "other.py").write_text("class Base:\n    def __init__(self, *, size): ...\ndef renamed(y): ...\n")
    (folder / "stars.py").write_text("def from_star(z): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.mark.parametrize(
    "name",
    [
        "twice",
        "module.twice",
        "module.known",
        "module.fallback",
        "module.from_star",
        "module.Inherits",
        "module.Bare",
        "module.Fields",
        "module.MoreFields",
        "module.ThirdFields",
        "module.Over",
        "other.Base",
    ],
)
def test_the_source_says_what_python_says(package: str, name: str) -> None:
    found = signature_of(f"{package}.{name}")
    parameters = inspect.signature(get_object(f"{package}.{name}")).parameters
    assert found is not None
    assert found.names == parameters.keys()
    assert found.required == {name for name, p in parameters.items() if p.default is inspect.Parameter.empty}
    assert found.defaults == {name: parameters[name].default for name in found.names - found.required}


def test_a_default_that_is_no_literal_is_optional_and_unknown(package: str) -> None:
    found = signature_of(f"{package}.module.Computed")
    assert found is not None and found.required == set()
    assert found.defaults == {"c": -1, "d": (0.5, [None])}


@pytest.mark.parametrize("name", ["catches_all", "assigned", "Foreign", "Methods.make"])
def test_what_the_source_does_not_tell_is_let_through(package: str, name: str) -> None:
    assert signature_of(f"{package}.module.{name}") is None


@pytest.mark.parametrize("name", ["module.typo", "typo.twice", "module.Typo.make"])
def test_what_is_not_there_is_an_error(package: str, name: str) -> None:
    with pytest.raises(InputError, match="defines no"):
        signature_of(f"{package}.{name}")


@pytest.mark.parametrize(
    "target",
    [
        "torch.nn.ReLU",
        "torch.optim.SGD",
        "pytorch_lightning.Trainer",
        "pytorch_lightning.loggers.CSVLogger",
        "pytorch_lightning.callbacks.ModelCheckpoint",
    ],
)
def test_signatures_of_libraries(target: str) -> None:
    found = signature_of(target)
    assert found is not None and found.names == inspect.signature(get_object(target)).parameters.keys()


@pytest.mark.parametrize(
    "target", ["torchvision.models.resnet18", "numpy.zeros", "builtins.dict", "os.path.join", "functools.partial"]
)
def test_what_libraries_hide_is_let_through(target: str) -> None:
    assert signature_of(target) is None


def test_misspelt_names_of_libraries_are_found() -> None:
    for target in ("pytorch_lightning.Traner", "torch.nn.Relu"):
        with pytest.raises(InputError, match="defines no"):
            signature_of(target)


def test_sources_are_followed_within_the_package(package: str) -> None:
    assert {path.name for path in sources(f"{package}.module")} == {"module.py", "other.py", "stars.py"}


def test_a_module_is_found_where_python_finds_it() -> None:
    import wsss_lightning.stages.io as imported

    assert module_path("wsss_lightning.stages.io") == Path(str(imported.__file__))
    assert module_path("wsss_lightning.no_such_module") is None


def test_targets_of_a_node() -> None:
    node = {"_target_": "a.b", "x": [{"_target_": "c.d", "y": {"_target_": "e.f"}}], "z": "text"}
    assert targets(node) == {"a.b", "c.d", "e.f"}
