"""What a `_target_` accepts and which files stand behind it, read from source text: nothing is imported.

Importing torch costs seconds, so a plan reads the syntax tree of a target's module instead of the module.
"""

import ast
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wsss_lightning.errors import InputError


@dataclass(frozen=True)
class Signature:
    """Parameter names of a callable: all of them, and those without a default."""

    names: frozenset[str]
    required: frozenset[str]


def check_node(node: object, *, where: str) -> None:
    """Raise `InputError` for an unknown target, a misspelt or a missing parameter anywhere in a config node."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            check_node(item, where=f"{where}[{index}]")
    elif isinstance(node, dict):
        for name, item in node.items():
            check_node(item, where=f"{where}.{name}")
        if "_target_" in node:
            _check_call(node, where=where)


def _check_call(node: dict[str, object], *, where: str) -> None:
    target = str(node["_target_"])
    signature = signature_of(target)
    if signature is None:
        return
    given = {name for name in node if name not in {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}}
    if unknown := sorted(given - signature.names):
        known = ", ".join(sorted(signature.names))
        raise InputError(f"{where}: {target} has no parameter {', '.join(unknown)}; it knows {known}.")
    missing = sorted(signature.required - given)
    if missing and not node.get("_partial_") and "_args_" not in node:
        raise InputError(f"{where}: {target} needs a value for {', '.join(missing)}.")


@cache
def signature_of(target: str) -> Signature | None:
    """The signature of a dotted name, or None where its source does not tell (compiled code, keyword catch-alls)."""
    module, _, name = target.rpartition(".")
    path = module_path(module)
    if path is None:
        raise InputError(f"_target_: {target} names no module that is installed here; check its spelling.")
    if path.suffix != ".py":
        return None
    definition = _find(module, name)
    if definition is None:
        raise InputError(f"_target_: {path.name} defines no {name}; check the spelling of {target}.")
    return _signature(*definition)


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
        found = next((candidate for candidate in candidates if candidate.is_file()), None)
        if path.name != "__init__.py" or found is None:
            return None
        path = found
    return path


@cache
def sources(module: str) -> frozenset[Path]:
    """Files of `module` and of all it imports, directly or not, from its own top-level package."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        path = module_path(current)
        if path is not None and path.suffix == ".py" and path not in found:
            found.add(path)
            waiting += [name for name in _imported(current) if name.split(".")[0] == module.split(".")[0]]
    return frozenset(found)


def targets(node: object) -> set[str]:
    """Every `_target_` in a config node, nested ones included."""
    if isinstance(node, list):
        return {target for item in node for target in targets(item)}
    if isinstance(node, dict):
        own = {str(node["_target_"])} if "_target_" in node else set()
        return own.union(*(targets(item) for item in node.values()))
    return set()


@cache
def _tree(module: str) -> ast.Module:
    path = module_path(module)
    return ast.parse(path.read_text(encoding="utf-8") if path and path.suffix == ".py" else "")


def _absolute(statement: ast.ImportFrom, module: str) -> str:
    path = module_path(module)
    package = module if path and path.name == "__init__.py" else module.rpartition(".")[0]
    parents = package.split(".")
    base = parents[: len(parents) - statement.level + 1] if statement.level else []
    return ".".join([*base, *([statement.module] if statement.module else [])])


def _imported(module: str) -> list[str]:
    names: list[str] = []
    for statement in ast.walk(_tree(module)):
        if isinstance(statement, ast.Import):
            names += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            origin = _absolute(statement, module)
            names += [origin, *(f"{origin}.{alias.name}" for alias in statement.names)]
    return names


_Definition = ast.FunctionDef | ast.ClassDef


def _find(module: str, name: str) -> tuple[str, _Definition] | None:
    """The module and the syntax node that define `name`, following re-exports."""
    for statement in _tree(module).body:
        if isinstance(statement, _Definition) and statement.name == name:
            return module, statement
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    return _find(_absolute(statement, module), alias.name)
    return None


def _signature(module: str, definition: _Definition) -> Signature | None:
    if isinstance(definition, ast.FunctionDef):
        return _of_arguments(definition.args, skip=0)
    for statement in definition.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return _of_arguments(statement.args, skip=1)
    if any("dataclass" in ast.unparse(decorator) for decorator in definition.decorator_list):
        return _of_fields(definition)
    bases = [_find(module, base.id) for base in definition.bases if isinstance(base, ast.Name)]
    return _signature(*bases[0]) if bases and bases[0] else None


def _of_arguments(arguments: ast.arguments, *, skip: int) -> Signature | None:
    if arguments.kwarg or arguments.vararg:
        return None
    positional = [argument.arg for argument in arguments.posonlyargs + arguments.args]
    optional = set(positional[len(positional) - len(arguments.defaults) :] if arguments.defaults else [])
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        positional.append(argument.arg)
        optional |= {argument.arg} if default is not None else set()
    names = frozenset(positional[skip:])
    return Signature(names=names, required=names - optional)


def _of_fields(definition: ast.ClassDef) -> Signature:
    fields = [item for item in definition.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    names = [item.target.id for item in fields if isinstance(item.target, ast.Name)]
    required = [name for name, item in zip(names, fields, strict=True) if item.value is None]
    return Signature(names=frozenset(names), required=frozenset(required))
