"""What a file of `conf/` says: the settings that it gives, and the files that it chooses and includes."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from wsss_lightning.errors import InputError

Node = dict[str, Any]

_PACKAGE = re.compile(r"\s*#\s*@\s*package\s+(\S+)")


class ConfigFile(NamedTuple):
    """A file of a config group by its name (`ablation/points/top`), and the file that includes it, if one does."""

    name: str
    path: Path
    included_by: Path | None


def content(path: Path) -> Node:
    """All of a file; an `InputError` where it is no YAML, holds no settings, or a defaults list that is none."""
    try:
        settings = _parsed(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(settings, dict):
        raise InputError(f"{path} holds no settings, but {str(settings)[:40]!r}: write NAME: VALUE.")
    defaults = settings.get("defaults", [])
    if not isinstance(defaults, list) or not all(map(_is_entry, defaults)):
        raise InputError(f"{path}: defaults={defaults} is no list of files: write [NAME, GROUP: NAME, ...].")
    return settings


def _is_entry(entry: object) -> bool:
    """Whether a defaults list may have it: a file, or one of a group, or several, or none."""
    if isinstance(entry, dict):
        return all(value is None or isinstance(value, str | list) for value in entry.values())
    return isinstance(entry, str)


@cache
def _parsed(text: str) -> Any:
    """All rows of a table read the same files; libyaml, where PyYAML has it, takes a tenth of the time."""
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}


def setting_names(path: Path, group: str) -> list[str]:
    """Dotted names of the values that a file gives, under the package that its head names or else its group's."""
    head = _PACKAGE.match(path.read_text(encoding="utf-8"))
    package = head[1] if head else group.replace("/", ".")
    prefix = "" if package in ("_global_", "") else f"{package}."
    given = {key: value for key, value in content(path).items() if key != "defaults"}
    return [prefix + key for key in _leaves(given)]


def _leaves(node: Any) -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, dict) and value and "_target_" not in value:
            yield from (f"{key}.{rest}" for rest in _leaves(value))
        else:
            yield str(key)


def chosen_method(path: Path) -> str | None:
    """The method that a file chooses by `override /method`."""
    entries = (entry for entry in content(path).get("defaults", []) if isinstance(entry, dict))
    return next((str(entry["override /method"]) for entry in entries if "override /method" in entry), None)


def included(file: ConfigFile) -> Iterator[str]:
    """Files that a defaults list names in a group of its own, as `/ablation/points: [top, k5]`, or beside the file."""
    for item in content(file.path).get("defaults", []):
        if isinstance(item, str):
            name = item.partition("@")[0]
            yield name[1:] if name.startswith("/") else f"{file.name.rpartition('/')[0]}/{name}"
            continue
        for group, value in ((str(key).partition("@")[0], value) for key, value in item.items()):
            if group.startswith("/"):
                yield from (f"{group[1:]}/{name}" for name in (value if isinstance(value, list) else [value]))
