"""Settings that no stage reads: a misspelt key in a file would otherwise be an ablation without effect."""

import re
from collections.abc import Iterator
from typing import Any

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.identity import with_current_targets
from wsss_lightning.pipeline.origin import COMMAND_LINE, Origin
from wsss_lightning.pipeline.signatures import check_node

Node = dict[str, Any]

_OTHERWISE = {"stages", "given", "card", "hydra"}  # checked by signatures and by Hydra; a card holds whatever one notes
# Sections that a method may leave alone: there a setting is one of those that conf/ has, or a parameter of a function.
_SECTIONS = {
    *("result", "objective", "seed", "run", "paths", "runtime", "logger", "trainer"),
    *("optimizer", "scheduler", "callbacks", "data", "source", "target", "crf", "backbone"),
    *("stand_ins", "scenes", "maps_of_source"),
}
_CALLS = {"logger"}  # read as a whole, and made of descriptions of calls, by name
_INNERMOST = re.compile(r"\$\{([^${}]*)\}")


def check_read(config: Node, stages: dict[str, Node], origin: Origin) -> None:
    """Every setting that a job's files and command line give is read by a stage, be its result asked for or not.

    Args:
        config: composed, its interpolations unresolved.
        stages: its stages, spelled out (`expand`).
        origin: where the settings come from.

    Raises:
        InputError: one is not read, or is no parameter of the function that it is given to; it names the file and the
            key.
    """
    method = origin.choices.get("method", "")
    read = _references([stages, *origin.variants("stages", "given", method)], config)
    told = _references([config.get("card"), *origin.variants("card")], config)
    read |= {name for name in told if not isinstance(select(config, name), dict)}  # a section is told, not made true
    parameters = {name for node in stages.values() for name in node}
    for place, key in origin.settings():
        top, _, rest = key.partition(".")
        if top == "given":
            _check_given(rest.split(".")[0], parameters, origin, place=place, key=key)
        if top in _OTHERWISE:
            continue
        known = _is_parameter(key, config, place) or _is_defined(key, origin.defined())
        if not (known and top in _SECTIONS) and (top in _CALLS or not _is_read(key, read)):
            raise InputError(f"{place}: no stage reads {key}: check its spelling, and whether it is of this method.")
    if not origin.several:
        _check_chosen(config, read, origin)


def _check_given(name: str, parameters: set[str], origin: Origin, *, place: str, key: str) -> None:
    where = f"{place}: {key}"
    if name not in parameters:
        raise InputError(f"{where}: no stage has a parameter of this name: check its spelling.")
    if name in origin.passed_on() and place == COMMAND_LINE:  # a method's file may give its stages no trainer
        raise InputError(f"{where} stands for {name}: say {name}=... in its place, which the card tells, too.")


def _is_parameter(key: str, config: Node, place: str) -> bool:
    """Whether `key` lies in the description of a call; one that its function does not know is an `InputError`."""
    parts, found = key.split("."), False
    for depth in range(1, len(parts) + 1):
        node = select(config, name := ".".join(parts[:depth]))
        if isinstance(node, dict) and "_target_" in node:
            given = {part: node[part] for part in parts[depth : depth + 1] if part in node} if parts[depth:] else node
            call = {"_target_": node["_target_"], "_partial_": True}  # what it lacks is told of the stage that calls it
            check_node(with_current_targets({**given, **call}), where=f"{place}: {name}")
            found = True
    return found


def _is_defined(key: str, defined: frozenset[str]) -> bool:
    """Whether a setting, or those below it, are among `defined`."""
    return key in defined or any(name.startswith(f"{key}.") for name in defined)


def _check_chosen(config: Node, read: set[str], origin: Origin) -> None:
    """A file that the command line names in a group of which stages are given what they ask for, `source` for one."""
    added = {group for group in origin.appended() if isinstance(config.get(group), dict)}
    for group in sorted((origin.passed_on() | added) & origin.choices.keys()):
        typed = origin.typed(group)
        if typed and not _is_read(group, read) and config.get(group) != "${data}":  # source=same, said in vain, is true
            method = origin.choices.get("method")
            raise InputError(f"{group}={typed[-1]}: no stage of method={method} reads {group}: leave it out.")


def _is_read(key: str, read: set[str]) -> bool:
    return any(_overlap(key, name) for name in read)


def _references(nodes: list[Any], config: Node) -> set[str]:
    """Dotted names of all that `nodes` refer to, directly or not; `*` where a part of a name is a setting itself."""
    read: set[str] = set()
    waiting = list(nodes)
    while waiting:
        for text in _texts(waiting.pop()):
            new = {name: node for name, node in _named(text, config) if name not in read}
            read |= new.keys()
            waiting += new.values()
    return read


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _texts(child)
    elif isinstance(node, str) and "${" in node:
        yield node


def _named(text: str, config: Node) -> Iterator[tuple[str, Any]]:
    """Name and node of what the interpolations in `text` refer to, inner ones, which may be part of a name, first."""
    spelled = pattern = text  # the same text, with values and with `*` in the place of interpolations done
    while (match := _INNERMOST.search(spelled)) and (other := _INNERMOST.search(pattern)):
        path, name = (_path(each[1]) for each in (match, other))
        node = select(config, path)
        value = node if isinstance(node, str | int | float) and "${" not in str(node) else ""
        spelled = f"{spelled[: match.start()]}{value}{spelled[match.end() :]}"
        pattern = f"{pattern[: other.start()]}*{pattern[other.end() :]}"
        if path:
            yield name, node


def _path(interpolation: str) -> str:
    """The dotted name in `a.b[0]` or `oc.select:a.b,default`; empty for all other resolvers."""
    resolver, colon, arguments = interpolation.partition(":")
    named = arguments.split(",")[0] if resolver == "oc.select" else "" if colon else interpolation
    return named.replace("[", ".").replace("]", "").strip()


def select(config: Node, path: str) -> Any:
    """The node at a dotted name, None where there is none."""
    node: Any = config
    for part in path.split("."):
        if isinstance(node, list):
            node = node[int(part)] if part.isdigit() and int(part) < len(node) else None
        else:
            node = node.get(part) if isinstance(node, dict) else None
    return node


def _overlap(key: str, name: str) -> bool:
    pairs = zip(key.split("."), name.split("."), strict=False)
    return all(part == other or other == "*" for part, other in pairs)
