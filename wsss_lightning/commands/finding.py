"""Which model a command line means, found without torch."""

from collections.abc import Sequence
from pathlib import Path

from wsss_lightning.errors import InputError
from wsss_lightning.model_files import DESCRIPTION, SHARED_DESCRIPTION, labels_pixels
from wsss_lightning.pipeline.differences import is_named
from wsss_lightning.pipeline.inventory import stage_folders, told_apart


def find_model(text: str, store: Path) -> Path:
    """What MODEL of a command line means: a file, a folder, or a stage in `store` by its name or (part of) its key.

    Raises:
        InputError: there is no such model, or several.
    """
    path = Path(text)
    stages = sorted(file.parent for file in store.glob(f"*/{DESCRIPTION}"))
    matches = [stage for stage in stages if is_named(stage.name, text)]
    if path.is_file() or (path / DESCRIPTION).is_file() or (path / SHARED_DESCRIPTION).is_file():
        if matches and path.resolve() not in [stage.resolve() for stage in matches]:
            raise InputError(f"{text} is here and in {store}: give {path.absolute()}, or {_names(matches)}.")
        return path
    if len(matches) == 1:
        return matches[0]
    if matches:
        apart = told_apart(stage_folders(store))
        told = [f"{stage.name} ({apart[stage]})" if apart.get(stage) else stage.name for stage in matches]
        raise InputError(f"There are several models {text} in {store}: name one of {', '.join(told)}.")
    offered = [stage for stage in stages if labels_pixels(stage)]
    if path.is_dir():
        raise InputError(f"{text} is no folder of a trained model: name the stage that trained it, {_names(offered)}.")
    raise InputError(f"There is no model {text}, neither here nor in {store}, which has {_names(offered)}.")


def _names(folders: Sequence[Path]) -> str:
    return ", ".join(folder.name for folder in folders) or "no model"
