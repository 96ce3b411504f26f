"""Which stages a name means, and in which settings those of one name differ: what a person needs to pick one."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

_SHOWN = 3  # settings of a stage
_LONG = 40  # characters of a value
_KEY = 8  # digits of a key that are shown
_PART = 4  # digits of a key without a name, at least
_UNSET = "unset"
_UPSTREAM = re.compile(r"<artifact:(\w+)>")  # what a record has in place of a folder that a stage reads


def is_named(folder: str, text: str) -> bool:
    """Whether `name-0123456789abcdef` is meant: by its name, by its key or its first digits, or by both."""
    name, _, key = folder.rpartition("-")
    given = text.removeprefix(f"{name}-")
    least = _PART if given == text else 1
    # A record has more of a key than a folder.
    return text == name or (len(given) >= least and (key.startswith(given) or given.startswith(key)))


def tell_apart(nodes: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Of each stage, up to three settings, with their values, that tell it from the others.

    Settings with several values are taken first, then those that only some records have, then the stages that are read;
    of each kind those that tell most of the stages apart.

    Args:
        nodes: what stages of one name are called with, as their records have it.
    """
    flat = [dict(_leaves(node)) for node in nodes]
    names = list(dict.fromkeys(name for node in flat for name in node))
    read = [name for name in names if any(_UPSTREAM.search(node.get(name, "")) for node in flat)]
    several = [name for name in names if len({node[name] for node in flat if name in node}) > 1 and name not in read]
    kinds = [several, [name for name in names if name not in several + read], read]
    chosen: list[str] = []
    for kind in kinds:
        chosen = _telling(flat, chosen, kind)
    return [{name: node.get(name, _UNSET) for name in chosen} for node in flat]


def in_words(settings: Mapping[str, str], upstream: Callable[[str], str]) -> str:
    """`seed=1, loss.sharpness=5`; for a stage that is read, what `upstream` says of its key, else `masks=7414cbac`."""
    texts = []
    for name, value in settings.items():
        told = filter(None, map(upstream, _UPSTREAM.findall(value)))
        texts.append(", ".join(told) or f"{name}={_short(value)}")
    return ", ".join(dict.fromkeys(texts))


def _telling(flat: Sequence[Mapping[str, str]], chosen: list[str], candidates: Sequence[str]) -> list[str]:
    """`chosen` and those of `candidates` that tell more stages apart, the most telling first."""

    def told(names: Sequence[str]) -> int:
        return len({tuple(node.get(name, _UNSET) for name in names) for node in flat})

    while candidates and len(chosen) < _SHOWN:
        best = max(candidates, key=lambda name: told([*chosen, name]))
        if told([*chosen, best]) == told(chosen):
            break
        chosen = [*chosen, best]
    return chosen


def _leaves(node: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in node.items():
        if f"{above}{name}" == "_target_":  # the stage's own function, which a listing shows
            continue
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}".removesuffix("._target_"), str(value)


def _short(value: str) -> str:
    """A value as it stands in a line: of a folder that is read the key, of a function its name."""
    keys = _UPSTREAM.findall(value)
    text = " ".join(key[:_KEY] for key in keys) or value
    text = text.rpartition(".")[2] if re.fullmatch(r"[a-z_]+(\.\w+)+", text) else text
    return text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."
