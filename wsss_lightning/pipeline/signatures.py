"""What a `_target_` accepts, read from source text: importing torch costs seconds, and a plan should not."""

import ast
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.modules import absolute, module_path, tree


@dataclass(frozen=True)
class TypeAnnotation:
    """What a parameter is said to be, and the module whose names that uses."""

    form: ast.expr
    module: str

    def of(self, form: ast.expr) -> "TypeAnnotation":
        """A part of it."""
        return TypeAnnotation(form, self.module)


@dataclass(frozen=True)
class Signature:
    """Parameter names of a callable: all, and those without a default; defaults that are literals, annotations."""

    names: frozenset[str]
    required: frozenset[str]
    defaults: dict[str, Any] = field(default_factory=dict)
    annotations: dict[str, TypeAnnotation] = field(default_factory=dict)


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
    try:
        signature = signature_of(target)
    except InputError as error:
        raise InputError(f"{where}._target_: {error}") from None
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
    if path is None and "." in module:
        signature_of(module)  # `module` may be a class, and the target a method of it
        return None
    if path is None:
        raise InputError(f"{target} names no module that is installed here; check its spelling.")
    definition = _find(module, name)
    if definition is None and not _bound(module) & {name, "*", "__getattr__"}:
        raise InputError(f"{module} defines no {name}; check the spelling of {target}.")
    return _signature(*definition) if definition else None


@cache
def constant_beside(target: str, name: str) -> Any:
    """The literal that the module which defines `target` assigns to `name`; None where there is none."""
    module, _, own = target.rpartition(".")
    definition = _find(module, own) if module_path(module) else None
    for statement in tree(definition[0]).body if definition else ():
        if isinstance(statement, ast.Assign) and [ast.unparse(place) for place in statement.targets] == [name]:
            return ast.literal_eval(statement.value)
    return None


_Definition = ast.FunctionDef | ast.ClassDef
_NOTHING = Signature(names=frozenset(), required=frozenset())


def _find(module: str, name: str) -> tuple[str, _Definition] | None:
    """The module and the syntax node that define `name`, following re-exports; the last definition counts."""
    for statement in reversed(list(_statements(tree(module)))):
        if isinstance(statement, _Definition) and statement.name == name:
            return module, statement
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == name or alias.name == "*":
                    origin = absolute(statement, module)
                    definition = _find(origin, name if alias.name == "*" else alias.name)
                    if definition:
                        return definition
    return None


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements that run when a module is imported, those under `if` and `try` included."""
    for child in ast.iter_child_nodes(node):
        yield child
        if isinstance(child, ast.If | ast.Try | ast.ExceptHandler | ast.With):
            yield from _statements(child)


@cache
def _bound(module: str) -> frozenset[str]:
    """Every name that a module's source binds; `*` for those of compiled code."""
    path = module_path(module)
    names = set() if path and path.suffix == ".py" else {"*"}
    for statement in _statements(tree(module)):
        if isinstance(statement, _Definition):
            names.add(statement.name)
        elif isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
            names |= _bound(absolute(statement, module))
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in statement.names}
        else:
            stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
            names |= {node.id for node in stored if isinstance(node.ctx, ast.Store)}
    return frozenset(names)


def _signature(module: str, definition: _Definition) -> Signature | None:
    if isinstance(definition, ast.FunctionDef):
        return _of_arguments(definition.args, module, skip=0)
    for statement in definition.body:
        if isinstance(statement, ast.FunctionDef) and statement.name in {"__init__", "__new__"}:
            return _of_arguments(statement.args, module, skip=1)
    inherited = _inherited(module, definition)
    if inherited is not None and _is_dataclass(definition):
        return _with_fields(inherited, definition, module)
    return inherited


def _inherited(module: str, definition: ast.ClassDef) -> Signature | None:
    if not definition.bases and not definition.keywords:
        return _NOTHING
    first = definition.bases[0] if definition.bases else None
    base = _find(module, first.id) if isinstance(first, ast.Name) else None
    if base and _is_dataclass(definition) and not _is_dataclass(base[1]):
        return _NOTHING  # the parameters of a dataclass are its fields and those of dataclasses above it
    return _signature(*base) if base else None


def _is_dataclass(definition: _Definition) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in definition.decorator_list)


def _of_arguments(arguments: ast.arguments, module: str, *, skip: int) -> Signature | None:
    if arguments.kwarg or arguments.vararg:
        return None
    positional = [argument.arg for argument in arguments.posonlyargs + arguments.args]
    named = [argument.arg for argument in arguments.kwonlyargs]
    names = frozenset(positional[skip:] + named)
    given = dict(zip(reversed(positional), reversed(arguments.defaults), strict=False))
    given |= {name: value for name, value in zip(named, arguments.kw_defaults, strict=True) if value is not None}
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    annotations = {item.arg: TypeAnnotation(item.annotation, module) for item in every if item.annotation is not None}
    return Signature(names=names, required=names - given.keys(), defaults=_literals(given), annotations=annotations)


def _literals(values: Mapping[str, ast.expr]) -> dict[str, Any]:
    """Those values that source text alone tells and that JSON can hold, as a config's can."""
    literals: dict[str, Any] = {}
    for name, value in values.items():
        with suppress(ValueError, TypeError):
            literal = ast.literal_eval(value)
            json.dumps(literal)
            literals[name] = literal
    return literals


def _with_fields(inherited: Signature, definition: ast.ClassDef, module: str) -> Signature:
    annotated = [item for item in definition.body if isinstance(item, ast.AnnAssign)]
    fields = {item.target.id: item for item in annotated if isinstance(item.target, ast.Name)}
    given = {name: item.value for name, item in fields.items() if item.value is not None}
    inner = {name for name, value in given.items() if "init=False" in ast.unparse(value)}
    known = {name: value for name, value in inherited.defaults.items() if name not in fields}
    own = {name: TypeAnnotation(item.annotation, module) for name, item in fields.items()}
    return Signature(
        names=(inherited.names | fields.keys()) - inner,
        required=(inherited.required - given.keys()) | (fields.keys() - given.keys()),
        defaults=known | _literals(given),
        annotations=inherited.annotations | own,
    )
