"""The files behind dotted names, found and read without importing anything."""

import ast
import importlib.util
from functools import cache
from pathlib import Path


@cache
def module_path(module: str) -> Path | None:
    """The file of a dotted module name, found without importing its parents."""
    head, *rest = module.split(".")
    spec = importlib.util.find_spec(head) if head else None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    for part in rest:
        folder = path.parent
        candidates = [folder / part / "__init__.py", folder / f"{part}.py", *sorted(folder.glob(f"{part}.*.so"))]
        child = next((candidate for candidate in candidates if candidate.is_file()), None)
        if path.name != "__init__.py" or child is None:
            return None
        path = child
    return path


@cache
def sources(module: str) -> frozenset[Path]:
    """Files of `module` and of all it imports, directly or not, from its own top-level package."""
    files: set[Path] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        path = module_path(current)
        if path is not None and path.suffix == ".py" and path not in files:
            files.add(path)
            waiting += [name for name in _imported(current) if name.split(".")[0] == module.split(".")[0]]
    return frozenset(files)


def targets(node: object) -> set[str]:
    """Every `_target_` in a config node, nested ones included."""
    if isinstance(node, list):
        return {target for item in node for target in targets(item)}
    if isinstance(node, dict):
        own = {str(node["_target_"])} if "_target_" in node else set()
        return own.union(*(targets(item) for item in node.values()))
    return set()


@cache
def tree(module: str) -> ast.Module:
    """The syntax tree of a module; empty where its source is not there."""
    path = module_path(module)
    return ast.parse(path.read_text(encoding="utf-8") if path and path.suffix == ".py" else "")


def absolute(statement: ast.ImportFrom, module: str) -> str:
    """The full name of the module that a `from ... import` in `module` reads."""
    path = module_path(module)
    package = module if path and path.name == "__init__.py" else module.rpartition(".")[0]
    parents = package.split(".")
    base = parents[: len(parents) - statement.level + 1] if statement.level else []
    return ".".join([*base, *([statement.module] if statement.module else [])])


@cache
def _imported(module: str) -> tuple[str, ...]:
    names: list[str] = []
    for statement in ast.walk(tree(module)):
        if isinstance(statement, ast.Import):
            names += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            origin = absolute(statement, module)
            names += [origin, *(f"{origin}.{alias.name}" for alias in statement.names)]
    return tuple(names)
