"""Objects that the config describes, for commands that run no stage."""

from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.configuration import bind, compose, one_sentence, plain_dict
from wsss_lightning.pipeline.foreign import check_record
from wsss_lightning.pipeline.identity import current_target, with_current_targets
from wsss_lightning.pipeline.readings import readers
from wsss_lightning.pipeline.signatures import constant_beside
from wsss_lightning.pipeline.store import RECORD, read_record


def open_data(name: str, *, root: Path | None, overrides: list[str]) -> Any:
    """The data module of `conf/data/<name>.yaml`.

    Args:
        name: of the file.
        root: the data set's folder; None takes the configuration's.
        overrides: further ones, such as `data.classes=[cat,dog]`.

    Raises:
        InputError: there is no such configuration, an override is misspelt or a folder, or the data set is not there.
    """
    if folders := [text for text in overrides if "=" not in text and Path(text).is_dir()]:
        raise InputError(f"{folders[0]} is a folder: give the root of the data set by --root {folders[0]}.")
    config = compose([f"data={name}", *overrides])
    if root is not None:
        OmegaConf.update(config, "data.root", str(root))
    node = plain_dict(config.data, resolve=True)
    if isinstance(folder := node.get("root"), str) and not Path(folder).exists():
        raise InputError(f"There is no folder {folder}: give the root of the data set by --root or data.root=FOLDER.")
    return _made(node)


def recorded_inputs(folder: Path, *, target: str, names: tuple[str, ...]) -> dict[str, Any] | None:
    """Those inputs of a finished stage as it was called with them, folders of other stages as paths beside its own.

    Args:
        folder: of the stage.
        target: dotted name of the function that computed it; None is returned where another one did, or where the
            record does not say what the stage read.
        names: of its parameters; one that the record does not name is left out.

    Raises:
        InputError: what was read is not there any more, or the record would call code that is not trusted.
    """
    record = read_record(folder)
    if record is None or not record["bindings"] or current_target(str(record["node"]["_target_"])) != target:
        return None
    check_record(record, folder / RECORD)
    places = {token: folder.parent / place for token, place in record["bindings"].items() if token[:10] == "<artifact:"}
    bindings = record["bindings"] | {token: str(place) for token, place in places.items()}
    node = with_current_targets({name: value for name, value in record["node"].items() if name in names})
    return dict(_made(bind(node, bindings)))


def _made(node: dict[str, Any]) -> Any:
    try:
        with one_sentence():
            return instantiate(node, _convert_="all")
    except InstantiationException as error:
        raise error.__cause__ or error from None


def check_readable(node: dict[str, Any], bindings: dict[str, Any]) -> None:
    """Raise `InputError` for what a stage would miss in its data, before the stages ahead of it are computed.

    A training image of every class, where it learns class by class (`SHARES = "classes"` in its module); the mask of
    the first image, where it compares with masks (`OPENS = "masks"`). Only of data in a folder of the user's; what
    stages write is looked at by the stage itself.
    """
    shares, opens = (constant_beside(node["_target_"], name) for name in ("SHARES", "OPENS"))
    if (shares != "classes" and opens != "masks") or node["data"] not in readers(node["data"]):
        return
    data = _made(bind(node["data"], bindings))
    if shares == "classes":
        data.require_every_class()
    if opens == "masks":
        data.require_masks(node.get("split", "val"))
