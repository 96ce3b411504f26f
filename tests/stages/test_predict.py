"""Inference with a network whose logits are known: the masks, the files and the order are what they must be."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from fake_data import write_voc
from torch import Tensor

from wsss_lightning import stages
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.nn.description import build
from wsss_lightning.nn.prediction import Prediction
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.stages.predict import read_probabilities, write_predictions

VAL = tuple(f"2007_0000{number}" for number in range(10, 15))
CLASSES = ["cat", "aeroplane", "boat"]  # 8, 1 and 4 in VOC's own indices
OWN = np.array([0, 8, 1, 4], np.uint8)


def softmax_of_logits(stored: dict[str, Tensor], size: tuple[int, int]) -> Tensor:
    return resize_maps(stored["logits"].float()[None], size)[0].softmax(dim=0)


class Known(pl.LightningModule):
    """Its logits of an image follow from the brightness of the pixels: four bands, one a label."""

    reading = staticmethod(softmax_of_logits)

    def __init__(self, *, fails_at: str | None = None) -> None:
        super().__init__()
        self.fails_at, self.shown = fails_at, list[str]()

    def predict_step(self, batch: dict[str, Any], _: int) -> list[Prediction]:
        self.shown += batch["image_id"]
        if self.fails_at in batch["image_id"]:
            raise RuntimeError("the network fails")
        return [self.one(image, name) for image, name in zip(batch["image"], batch["image_id"], strict=True)]

    def one(self, image: Tensor, name: str) -> Prediction:
        bands = expected_labels(image)
        logits = 5.0 * (torch.arange(4).view(4, 1, 1) == bands)
        return Prediction(image_id=name, labels=bands, stored={"logits": logits})


def expected_labels(image: Tensor) -> Tensor:
    return torch.bucketize(image.mean(dim=0), torch.tensor([0.35, 0.5, 0.65]))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VOCDataModule:
    monkeypatch.setattr(stages.predict, "build", partial(build, trust=[__name__.partition(".")[0]]))
    write_voc(tmp_path / "voc", train=(), sbd=(), val=VAL)
    plain = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    return VOCDataModule(root=tmp_path / "voc", classes=CLASSES, train_list="val", **plain)


def predict(data: VOCDataModule, folder: Path, module: Known | None = None, **settings: Any) -> Known:
    module = module or Known()
    own = inspect.signature(write_predictions).parameters
    trainer = {name: settings.pop(name) for name in [*settings] if name not in own}
    write_predictions(
        module,
        data.dataset("val"),
        folder=folder,
        trainer=partial(pl.Trainer, **{"accelerator": "cpu", "devices": 1, **trainer}),
        progress=False,
        description="test",
        **{"decode": data.decode, "keep": True, "batch_size": 1, "workers": 0, **settings},
    )
    return module


def images(data: VOCDataModule) -> dict[str, Tensor]:
    dataset = data.dataset("val")
    return {dataset[index]["image_id"]: dataset[index]["image"] for index in range(len(dataset))}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_known_logits_give_known_masks_in_the_indices_of_the_data_set(data: VOCDataModule, tmp_path: Path) -> None:
    predict(data, tmp_path / "out")
    assert sorted(path.stem for path in (tmp_path / "out" / "masks").iterdir()) == list(VAL)
    for name, image in images(data).items():
        labels = expected_labels(image).numpy()
        assert len(np.unique(labels)) == 4
        mask = read_mask(tmp_path / "out" / "masks" / f"{name}.png")
        assert np.array_equal(mask, OWN[labels])


def test_stored_probabilities_are_those_of_the_logits(data: VOCDataModule, tmp_path: Path) -> None:
    predict(data, tmp_path / "out")
    likely = float(torch.tensor([5.0, 0, 0, 0]).softmax(dim=0)[0])
    for name, image in images(data).items():
        probabilities = read_probabilities(tmp_path / "out", name, (24, 32))
        assert torch.equal(probabilities.argmax(dim=0), expected_labels(image))
        torch.testing.assert_close(probabilities.amax(dim=0), torch.full((24, 32), likely))
        assert read_probabilities(tmp_path / "out", name, (12, 20)).shape == (4, 12, 20)


def test_masks_alone_are_kept_if_so_asked(data: VOCDataModule, tmp_path: Path) -> None:
    predict(data, tmp_path / "out", keep=False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["masks"]


@pytest.mark.parametrize(("batch_size", "workers"), [(2, 0), (5, 0), (2, 2)])
def test_neither_batches_nor_workers_change_a_byte(
    data: VOCDataModule, tmp_path: Path, batch_size: int, workers: int
) -> None:
    predict(data, tmp_path / "one")
    predict(data, tmp_path / "other", batch_size=batch_size, workers=workers)
    assert len(list((tmp_path / "one" / "masks").iterdir())) == 5
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_finished_images_are_skipped_and_the_rest_come_out_the_same(data: VOCDataModule, tmp_path: Path) -> None:
    assert predict(data, tmp_path / "whole").shown == list(VAL)
    with pytest.raises(RuntimeError, match="the network fails"):
        predict(data, tmp_path / "parts", Known(fails_at=VAL[2]))
    finished = sorted(path.stem for path in (tmp_path / "parts" / "masks").iterdir())
    assert set(finished) <= set(VAL[:2])
    assert predict(data, tmp_path / "parts").shown == [name for name in VAL if name not in finished]
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert predict(data, tmp_path / "parts").shown == []


def test_an_image_shares_its_batch_with_the_same_ones_after_a_kill_and_on_any_number_of_devices(
    data: VOCDataModule, tmp_path: Path
) -> None:
    module = predict(data, tmp_path / "whole", batch_size=2)
    assert module.shown == list(VAL)
    for name in (VAL[1], VAL[4]):
        (tmp_path / "whole" / "masks" / f"{name}.png").unlink()
    assert predict(data, tmp_path / "whole", batch_size=2).shown == [VAL[0], VAL[1], VAL[4]]
    batches = stages.predict._Batches(data.dataset("val"), size=2, together=len)
    assert [batches[index] for index in range(len(batches))] == [2, 2, 1], "which devices share as they are"


@pytest.mark.parametrize("count", [1, 3, 4, 5])
def test_two_processes_write_every_image_once(data: VOCDataModule, tmp_path: Path, count: int) -> None:
    data.records("val")[count:] = []
    predict(data, tmp_path / "one")
    logged = partial(decode_logged, decode=data.decode, log=tmp_path / "written")
    predict(data, tmp_path / "two", devices=2, strategy="ddp_fork", decode=logged)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    predict(data, tmp_path / "two", devices=2, strategy="ddp_fork", decode=logged)  # nothing is left to do
    assert len((tmp_path / "written").read_text()) == count


def decode_logged(labels: Any, *, decode: Callable[[Any], Any], log: Path) -> Any:
    with log.open("a") as file:
        file.write(".")
    return decode(labels)


@pytest.mark.parametrize("last", [False, True])
def test_what_goes_wrong_in_writing_is_not_lost(data: VOCDataModule, tmp_path: Path, last: bool) -> None:
    done: list[int] = []

    def decode(labels: Any) -> Any:
        done.append(1)
        if len(done) == (5 if last else 1):
            raise OSError("the disk is full")
        return data.decode(labels)

    with pytest.raises(OSError, match="the disk is full"):
        predict(data, tmp_path / "out", decode=decode)
    assert predict(data, tmp_path / "out").shown
    assert sorted(path.stem for path in (tmp_path / "out" / "masks").iterdir()) == list(VAL)


@pytest.mark.parametrize(
    "option", ["fast_dev_run", "limit_val_batches", "overfit_batches", "max_steps", "limit_train_batches"]
)
def test_what_shortens_a_training_leaves_no_image_out(data: VOCDataModule, tmp_path: Path, option: str) -> None:
    assert predict(data, tmp_path / "out", **{option: 1}).shown == list(VAL)
    assert sorted(path.stem for path in (tmp_path / "out" / "masks").iterdir()) == list(VAL)


@pytest.mark.parametrize("count", [0, 2])
def test_what_would_leave_images_out_is_refused_before_any_is_looked_at(
    data: VOCDataModule, tmp_path: Path, count: int
) -> None:
    module = Known()
    with pytest.raises(InputError, match=f"limit_predict_batches={count} leaves images out: do not set it"):
        predict(data, tmp_path / "out", module, limit_predict_batches=count)
    assert module.shown == []


def test_a_callback_that_ends_inference_early_is_no_success(data: VOCDataModule, tmp_path: Path) -> None:
    class Ending(pl.Callback):
        def on_predict_batch_start(
            self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int, *_: Any
        ) -> None:
            if batch_idx == 2:
                raise StopIteration

    with pytest.raises(InputError, match="test: only 2 of 5 batches were looked at"):
        predict(data, tmp_path / "out", callbacks=[Ending()])
