"""Models on the Hugging Face hub by its own mixin; a folder works without network. Needs the extra `hub`."""

from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import ModelHubMixin, snapshot_download
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.inference.export import describe_model, write_shared
from wsss_lightning.inference.labelled import LabelledPicture
from wsss_lightning.inference.loading import TrainedModel, load_trained
from wsss_lightning.model_files import SHARED_DESCRIPTION, WEIGHTS


class HubModel(ModelHubMixin, library_name="wsss-lightning"):
    """A trained model that the hub's mixin reads and writes: `from_pretrained`, `save_pretrained`, `push_to_hub`.

    Folders are those of `wsss export --to safetensors`; `from_pretrained` also takes the folder of a finished stage.

    `model`: from `load_trained`; `description`: what its folder says of it, see `export.describe_model`.
    """

    def __init__(self, model: TrainedModel, description: dict[str, Any]) -> None:
        self.model, self.description = model, description

    def predict(
        self, image: Path | str | Image.Image | NDArray[np.uint8], *, tags: list[str] | None = None
    ) -> LabelledPicture:
        """`loading.predict_picture` of the model, which has further options."""
        return self.model.predict(image, tags=tags)

    def _save_pretrained(self, save_directory: Path) -> None:
        write_shared(self.model, self.description, save_directory)

    @classmethod
    def _from_pretrained(  # type: ignore[override]  # the mixin hands on options of a subclass
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        trust: tuple[str, ...] = (),
    ) -> "HubModel":
        folder = Path(model_id)
        if not folder.is_dir():
            snapshot = snapshot_download(
                model_id,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
                allow_patterns=[WEIGHTS, SHARED_DESCRIPTION],
            )
            folder = Path(snapshot)
        return cls(load_trained(folder, trust=trust), describe_model(folder))
