"""Which package may import which (the rules of the design), read from the source text of all of them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from wsss_lightning.pipeline.modules import sources

PACKAGE = Path(__file__).resolve().parents[1] / "wsss_lightning"
FILES = sorted(PACKAGE.rglob("*.py"))
EVERYWHERE = {"atomic", "backends", "errors", "lifetime", "opened", "parallel", "progress", "tensors", "trust"}
ALLOWED = {
    "ops": set(),
    "metrics": {"ops"},
    "nn": {"ops"},
    "data": {"ops"},
    # A method's maths and modules, the steps that they are trained on, and its own stages.
    "methods": {"nn", "ops", "metrics"},
    "methods/steps": {"data", "nn", "ops", "metrics"},
    "methods/stages": {"methods", "model_files", "models", "stages", "nn", "data", "metrics", "scoring", "ops"},
    "stages": {"models", "nn", "data", "metrics", "scoring", "ops"},
    "pipeline": set(),
    "dashboards": {"pipeline", "stages", "data"},
    "tables": {"pipeline", "data"},
    "scoring": {"data", "metrics", "ops"},
    "inference": {"model_files", "models", "stages", "nn", "data", "ops"},
    "commands": {
        *(
            "inference",
            "model_files",
            "pipeline",
            "tables",
            "stages",
            "scoring",
            "methods",
            "nn",
            "data",
            "metrics",
            "ops",
        ),
        "allocator",
    },
    "cli": {"commands"},
    "allocator": set(),
    "atomic": set(),
    "backends": set(),
    "errors": set(),
    "lifetime": set(),
    "model_files": set(),
    "models": {"model_files", "nn"},
    "opened": set(),
    "parallel": set(),
    "progress": set(),
    "tensors": set(),
    "trust": set(),
    "__init__": set(),
}
# Only certain modules of a package, where the whole of it is too much.
ONLY = {("data", "ops"): {"resize"}, ("tables", "data"): {"masks"}}
# Which of our packages may import a library.
LIBRARIES = {
    "hydra": {"pipeline", "commands"},
    "omegaconf": {"pipeline", "commands"},
    "torch": {
        *("ops", "metrics", "nn", "data", "methods", "stages", "inference", "scoring", "dashboards", "commands"),
        *("tensors", "trust"),
    },
    "pytorch_lightning": {"data", "methods", "models", "stages", "inference", "commands"},
    "lightning": set(),
    "wandb": {"dashboards"},
    "typer": {"cli", "commands"},
}
METHODS = sorted(path.parent.name for path in PACKAGE.glob("methods/*/__init__.py"))
MATHS = sorted([*PACKAGE.glob("ops/*.py"), *PACKAGE.glob("methods/*/*.py")])


def _imports(source: str, *, module: tuple[str, ...]) -> set[str]:
    """Dotted names of all that a module imports, wherever in it; relative imports are made absolute."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = module[: len(module) - node.level] if node.level else ()
            names |= {".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names}
    return names


def _of_file(path: Path) -> set[str]:
    module = (PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)
    return _imports(path.read_text(encoding="utf-8"), module=module)


def _package(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def _room(path: Path) -> str:
    """The package, but for the files of a method that may import more than its maths does."""
    package, *rest = path.relative_to(PACKAGE).with_suffix("").parts
    return f"{package}/{rest[1]}" if package == "methods" and rest[1:2] in (["stages"], ["steps"]) else package


def _ours(path: Path) -> set[tuple[str, ...]]:
    return {tuple(name.split(".")[1:]) for name in _of_file(path) if name.split(".")[0] == "wsss_lightning"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_package_may(path: Path) -> None:
    package, room = _package(path), _room(path)
    for imported in _ours(path):
        other = imported[0]
        assert other in {package} | EVERYWHERE | ALLOWED[room], f"{room} must not import {'.'.join(imported)}"
        if (package, other) in ONLY:
            assert imported[1] in ONLY[package, other], f"{package} must not import {'.'.join(imported)}"
        if package == other == "methods":
            method = path.relative_to(PACKAGE).parts[1]
            assert imported[1] == method, f"{method} must not import another method: {'.'.join(imported)}"
            assert room == "methods/stages" or imported[2] != "stages", f"{room} must not import {'.'.join(imported)}"


@pytest.mark.parametrize("method", METHODS)
def test_nothing_that_a_method_imports_leads_to_another_method(method: str) -> None:
    for path in (PACKAGE / "methods" / method).rglob("*.py"):
        module = ".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts))
        reached = {source.relative_to(PACKAGE).parts for source in sources(module.removesuffix(".__init__"))}
        others = {parts for parts in reached if parts[0] == "methods" and len(parts) > 2} - {
            parts for parts in reached if parts[:2] == ("methods", method)
        }
        assert not others, f"{module} imports, directly or not, {sorted('/'.join(parts) for parts in others)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_the_libraries_that_its_package_may(path: Path) -> None:
    for name in _of_file(path):
        allowed = LIBRARIES.get(name.split(".")[0])
        assert allowed is None or _package(path) in allowed, f"{_package(path)} must not import {name}"


def test_every_package_has_its_rule() -> None:
    assert {_room(path) for path in FILES} <= ALLOWED.keys()


@pytest.mark.parametrize("path", MATHS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_maths_and_modules_neither_read_files_nor_draw_from_global_generators(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    banned = {"pathlib", "os", "random", "io", "json", "logging"} & {name.split(".")[0] for name in _of_file(path)}
    assert not banned
    for call in ("open(", "print(", "np.random.seed", "np.random.rand", "torch.manual_seed", "torch.rand"):
        assert call not in text, f"{path.name} calls {call}"


def test_no_two_modules_have_a_function_or_class_of_one_name() -> None:
    """But for commands, which are called as what they run, and the `main` of each process that is started."""
    places: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    shared = {name: [place for place in found if not place.startswith("commands/")] for name, found in places.items()}
    assert {name: found for name, found in shared.items() if len(found) > 1 and name != "main"} == {}


def test_the_reader_sees_what_hides_in_functions_behind_aliases_and_in_relative_form() -> None:
    source = "def f():\n    import wandb as w\n    from ..b import c\n    from . import d\n    from x.y import z as v\n"
    found = _imports(source, module=("top", "a", "module"))
    assert found == {"wandb", "top.b.c", "top.a.d", "x.y.z"}
