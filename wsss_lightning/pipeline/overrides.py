"""Overrides as they are typed, looked at before Hydra meets some of them with a traceback or a misleading sentence."""

from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Sweep

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.origin import Origin


def check_overrides(overrides: list[str], conf: Path) -> None:
    """An override without a name, a group without a file, an experiment or ablation of another method.

    Args:
        overrides: of a job or of a sweep.
        conf: the project's config files; others are in `hydra.searchpath`.

    Raises:
        InputError: there is one.
        OverrideParseException: one is not in Hydra's grammar.
    """
    parsed = OverridesParser.create().parse_overrides(overrides)
    searched = [each.value() for each in parsed if each.key_or_group == "hydra.searchpath"]
    folders = [conf, *(Path(str(folder)) for value in searched if isinstance(value, list) for folder in value)]
    for override in parsed:
        _check_named(override, folders)
    Origin({}, overrides, folders).check_methods()


def _check_named(override: Override, folders: list[Path]) -> None:
    typed, group = override.input_line, override.key_or_group
    if not group:
        raise InputError(f"{typed} names no setting: write NAME=VALUE.")
    if override.is_delete() or override.is_force_add():  # `++logger={}` replaces what the group's file says
        return
    value = override.value()
    values = value.list if isinstance(value, ChoiceSweep) else [value]
    named = all(isinstance(item, str | list | Sweep) for item in values)
    if not named and any((folder / group).is_dir() for folder in folders):
        raise InputError(f"{typed}: give the name of a file in conf/{group}.")
