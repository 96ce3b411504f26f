"""The two words by which a config says each thing once: `given`, and `like` in a stage."""

import re
from typing import Any

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.identity import current_target
from wsss_lightning.pipeline.signatures import signature_of
from wsss_lightning.pipeline.unread import select

Node = dict[str, Any]

_ARTIFACT = re.compile(r"\$\{artifact:(\w+)\}")


def expand(config: Node) -> dict[str, Node]:
    """The stages of a config as plain containers, spelled out; what it references stays unresolved.

    `like: STAGE` makes a stage what STAGE is but for what it says itself, and `given: {NAME: VALUE}` is what a stage's
    parameter NAME stands for unless the stage says otherwise. Where it says a part of a given mapping
    (`trainer: {devices: 1}`), the rest is as given.

    Raises:
        InputError: a stage has no `_target_`, or is like one that is not there or that is like itself.
    """
    stages, given = config["stages"], config.get("given") or {}
    whole = {name: _inherited(name, stages, below=()) for name in stages}
    return {name: _filled(name, node, given, config) for name, node in whole.items()}


def check_artifacts(stages: dict[str, Node]) -> None:
    """Raise `InputError` for a stage that reads one that there is not, be its result asked for or not."""
    for name, parameter, value in ((name, *item) for name, node in stages.items() for item in node.items()):
        if unknown := sorted({*_ARTIFACT.findall(str(value))} - stages.keys()):
            raise InputError(
                f"stages.{name}: {parameter} reads the stage {unknown[0]}, which there is not; the stages are "
                f"{', '.join(stages)}."
            )


def _inherited(name: str, stages: dict[str, Node], *, below: tuple[str, ...]) -> Node:
    if name in below:
        raise InputError(f"The stages {' -> '.join([*below, name])} are like each other: spell one of them out.")
    if name not in stages:
        raise InputError(f"stages.{below[-1]}.like: there is no stage {name}; the stages are {', '.join(stages)}.")
    own = stages[name]
    if not isinstance(own, dict) or not own.keys() & {"_target_", "like"}:
        given = f", only {', '.join(map(str, own))}" if isinstance(own, dict) and own else ""
        raise InputError(
            f"stages.{name} has no _target_{given}: give the dotted name of its function, or check the spelling."
        )
    base = _inherited(str(own["like"]), stages, below=(*below, name)) if "like" in own else {}
    return base | {key: value for key, value in own.items() if key != "like"}


def _filled(name: str, node: Node, given: Node, config: Node) -> Node:
    try:
        signature = signature_of(current_target(str(node["_target_"])))
    except InputError as error:
        raise InputError(f"stages.{name}._target_: {error}") from None
    names = signature.names if signature else frozenset()
    known = {key: value for key, value in given.items() if key in names}
    own = {key: _completed(value, known.get(key), config) for key, value in node.items()}
    return own | {key: value for key, value in known.items() if key not in own}


def _completed(value: Any, given: Any, config: Node) -> Any:
    """`value`, merged into what is given where it is a mapping that names no function of its own."""
    base = _referenced(given, config) if isinstance(given, str) else given
    if not isinstance(value, dict) or not isinstance(base, dict) or "_target_" in value:
        return value
    return base | {key: _completed(item, base.get(key), config) for key, item in value.items()}


def _referenced(text: str, config: Node) -> Any:
    """The node that `${a.b}` names; None for all other texts."""
    if not (text.startswith("${") and text.endswith("}")) or set(text[2:-1]) & set("${}:"):
        return None
    return select(config, text[2:-1])
