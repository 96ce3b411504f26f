"""Objects that the config describes, for commands that run no stage."""

from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from wsss_lightning.pipeline.configuration import compose, one_sentence, plain


def open_data(name: str, *, root: Path | None, overrides: list[str]) -> Any:
    """The data module of `conf/data/<name>.yaml`.

    Args:
        name: of the file.
        root: the data set's folder; None takes the configuration's.
        overrides: further ones, such as `data.classes=[cat,dog]`.

    Raises:
        InputError: there is no such configuration, an override is misspelt, or the data set is not there.
    """
    config = compose([f"data={name}", *overrides])
    if root is not None:
        OmegaConf.update(config, "data.root", str(root))
    try:
        with one_sentence():
            return instantiate(plain(config.data, resolve=True), _convert_="all")
    except InstantiationException as error:
        raise error.__cause__ or error from None
