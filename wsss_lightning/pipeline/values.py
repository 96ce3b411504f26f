"""Whether a configured value is of the type that its parameter is annotated with, read from source text."""

import ast
from collections.abc import Iterator
from functools import cache
from typing import Any

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.modules import absolute, tree
from wsss_lightning.pipeline.signatures import TypeAnnotation, signature_of

# The least value of parameters that mean the same wherever they occur.
_LEAST: dict[str, int] = {
    **dict.fromkeys(("seed", "workers", "processes", "steps", "rate", "panels", "iterations"), 0),
    **dict.fromkeys(("batch_size", "size", "hidden", "k", "checkpoint_every"), 1),
}
_LARGEST_SEED = 2**32 - 1  # numpy's generators take no larger one
_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "Path": "a path"}
_LISTS = {"Sequence", "list", "tuple", "Collection", "Iterable", "List", "Tuple"}
_MAPPINGS = {"Mapping", "dict", "Dict"}
_CALL = "a mapping with a _target_"


def check_values(node: Any, *, where: str) -> None:
    """Raise `InputError` for a value of another type than its parameter's, anywhere in a stage's node.

    What an annotation does not tell is not looked at, nor what stands for something else: a node with a `_target_`,
    which is how a value of a class is described, an interpolation, a token.
    """
    if isinstance(node, list):
        for index, item in enumerate(node):
            check_values(item, where=f"{where}[{index}]")
    elif isinstance(node, dict):
        for name, item in node.items():
            check_values(item, where=f"{where}.{name}")
        for name, value, annotation in _annotated(node):
            _check(value, annotation, name=name, where=f"{where}.{name}")


def _annotated(node: dict[str, Any]) -> Iterator[tuple[str, Any, TypeAnnotation]]:
    signature = signature_of(str(node["_target_"])) if "_target_" in node else None
    annotations = signature.annotations if signature else {}
    yield from ((name, value, annotations[name]) for name, value in node.items() if name in annotations)


def _check(value: Any, annotation: TypeAnnotation, *, name: str, where: str) -> None:
    if not _fits(value, annotation):
        raise InputError(f"{where}={_shown(value)}: {_wanted(annotation)} is needed.")
    counts = isinstance(value, int) and not isinstance(value, bool)
    if (counts or (name == "rate" and isinstance(value, float))) and value < _LEAST.get(name, value):
        raise InputError(f"{where}={value}: {_LEAST[name]} or more is needed.")
    if name == "seed" and isinstance(value, int) and value > _LARGEST_SEED:
        raise InputError(f"{where}={value}: {_LARGEST_SEED} or less is needed.")


def _fits(value: Any, annotation: TypeAnnotation) -> bool:
    """Whether a value may be what an annotation says; true where that cannot be told."""
    form, module = annotation.form, annotation.module
    if _stands_for_something(value):
        return True
    if isinstance(form, ast.Constant):
        return value is None if form.value is None else _fits(value, annotation.of(_parsed(form.value)))
    if isinstance(form, ast.BinOp):
        return any(_fits(value, annotation.of(side)) for side in (form.left, form.right))
    if isinstance(form, ast.Subscript):
        return _fits_subscript(value, form, annotation)
    if isinstance(form, ast.Name):
        return _fits_name(value, form.id) if form.id in _WORDS else _fits_alias(value, form.id, module)
    return True


def _stands_for_something(value: Any) -> bool:
    if isinstance(value, str):
        return "${" in value or (value.startswith("<") and value.endswith(">")) or value == "???"
    return isinstance(value, dict) and "_target_" in value


def _fits_name(value: Any, name: str) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    fits = {"int": whole, "float": whole or isinstance(value, float), "bool": isinstance(value, bool)}
    return fits.get(name, isinstance(value, str))


def _fits_subscript(value: Any, form: ast.Subscript, annotation: TypeAnnotation) -> bool:
    name = ast.unparse(form.value).rpartition(".")[2]
    inner = form.slice.elts if isinstance(form.slice, ast.Tuple) else [form.slice]
    if name in ("Union", "Optional"):
        return (name == "Optional" and value is None) or any(_fits(value, annotation.of(each)) for each in inner)
    if name == "Literal":
        return any(type(value) is type(item) and value == item for item in map(ast.literal_eval, inner))
    if name == "Callable":
        return False
    if name in _LISTS:
        return isinstance(value, list) and _fit_items(value, inner, annotation)
    if name in _MAPPINGS:
        given = [item for item in value.values() if item is not None] if isinstance(value, dict) else []
        return isinstance(value, dict) and all(_fits(item, annotation.of(inner[-1])) for item in given)
    return True


def _fit_items(values: list[Any], inner: list[ast.expr], annotation: TypeAnnotation) -> bool:
    several = [each for each in inner if not (isinstance(each, ast.Constant) and each.value is ...)]
    if len(several) > 1:
        return len(values) == len(several) and all(
            _fits(value, annotation.of(each)) for value, each in zip(values, several, strict=True)
        )
    return all(_fits(value, annotation.of(several[0])) for value in values)


def _fits_alias(value: Any, name: str, module: str) -> bool:
    meant = _meaning(module, name)
    if isinstance(meant, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, meant.bases))
        return (isinstance(value, dict) and "TypedDict" in bases) or (isinstance(value, str) and "Enum" in bases)
    return meant is None or _fits(value, meant)


@cache
def _meaning(module: str, name: str) -> TypeAnnotation | ast.ClassDef | None:
    """What a module assigns to a name, `Size = int | None`, the class that it defines, or what it imports by it."""
    for statement in ast.walk(tree(module)) if module != "typing" else ():  # where Any is a class
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            return statement
        if isinstance(statement, ast.Assign) and [ast.unparse(place) for place in statement.targets] == [name]:
            return TypeAnnotation(statement.value, module)
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    return _meaning(absolute(statement, module), alias.name)
    return None


def _parsed(text: Any) -> ast.expr:
    return ast.parse(text, mode="eval").body if isinstance(text, str) else ast.Name("object")


def _wanted(annotation: TypeAnnotation) -> str:
    """An annotation in words."""
    form = annotation.form
    if isinstance(form, ast.Constant) and form.value is None:
        return "null"
    if isinstance(form, ast.BinOp):
        return f"{_wanted(annotation.of(form.left))} or {_wanted(annotation.of(form.right))}"
    if isinstance(form, ast.Name) and form.id in _WORDS:
        return _WORDS[form.id]
    if isinstance(form, ast.Name) and (meant := _meaning(annotation.module, form.id)):
        return _CALL if isinstance(meant, ast.ClassDef) else _wanted(meant)
    return _wanted_of_many(form, annotation) if isinstance(form, ast.Subscript) else ast.unparse(form)


def _wanted_of_many(form: ast.Subscript, annotation: TypeAnnotation) -> str:
    name = ast.unparse(form.value).rpartition(".")[2]
    inner = form.slice.elts if isinstance(form.slice, ast.Tuple) else [form.slice]
    if name == "Literal":
        return f"one of {', '.join(str(ast.literal_eval(each)) for each in inner)}"
    if name in ("Union", "Optional"):
        return " or ".join([*(_wanted(annotation.of(each)) for each in inner), *(["null"] * (name == "Optional"))])
    if name == "Callable":
        return _CALL
    if name in _LISTS | _MAPPINGS:
        kind = "a list" if name in _LISTS else "a mapping"
        shown = [each for each in inner if not (isinstance(each, ast.Constant) and each.value is ...)]
        many = f", {len(shown)} of them" if name in _LISTS and len(shown) > 1 else ""
        return f"{kind} ({_wanted(annotation.of(shown[-1]))} each{many})"
    return ast.unparse(form)


def _shown(value: Any) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
