"""The jobs that a sweep would launch, known before it is launched."""

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.configuration import one_sentence, sweeper_of


def jobs_of_sweep(overrides: list[str]) -> list[list[str]]:
    """The overrides of each job that `wsss run -m` launches with `overrides`, in their order.

    Raises:
        InputError: an override cannot be read, or the sweeper chooses jobs by what others came to.
    """
    with one_sentence():
        typed = OverridesParser.create().parse_overrides(overrides)
        tops = [each.key_or_group.partition("/")[0].partition(".")[0] for each in typed]
        about = [text for text, top in zip(overrides, tops, strict=True) if top in _SWEEP]
        params = _params(sweeper_of(about))
        given = OverridesParser.create().parse_overrides([*params, *overrides])
        return list(BasicSweeper.split_arguments(given, None)[0])


_SWEEP = {"hydra", "sweep"}  # what a sweep is told of itself


def _params(sweeper: dict[str, Any]) -> list[str]:
    if not str(sweeper["_target_"]).endswith(".BasicSweeper"):
        raise InputError(
            "This sweeper chooses its jobs by what earlier ones came to: plan one of them, with a value for each "
            "setting and without the sweep."
        )
    return [f"{name}={values}" for name, values in (sweeper.get("params") or {}).items()]
