import shutil
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from wsss_lightning.data.base import Record, SegmentationDataModule, SegmentationDataset
from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.reader import Reader
from wsss_lightning.data.steps import ImageSteps, StepLoader
from wsss_lightning.data.transforms import crop_augmentation
from wsss_lightning.errors import InputError
from wsss_lightning.stages.fit import quiet

NAMES = ("cat", "cow", "dog")
SHAPES = {"a": (20, 30), "b": (20, 30), "c": (25, 15)}
MEAN, STD = (0.5, 0.25, 0.0), (0.5, 0.25, 1.0)


class Folder(Reader):
    """The smallest data set: pictures and masks in two folders, image number n shows class n."""

    def read_records(self, list_name: str, *, tagged: bool) -> list[Record]:
        ids = {"train": ["a", "b", "c"], "val": ["c"]}[list_name]
        tags = dict(zip(SHAPES, np.eye(3, dtype=bool), strict=True))
        return [Record(i, self.root / "images" / f"{i}.png", self.root / "masks" / f"{i}.png", tags[i]) for i in ids]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for number, (name, shape) in enumerate(SHAPES.items()):
        pixels = np.random.default_rng(number).integers(0, 256, (*shape, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
        mask = np.zeros(shape, np.uint8)
        mask[5:10, 5:10], mask[12:14] = number + 1, 255
        write_mask(tmp_path / "masks" / f"{name}.png", mask)
    return tmp_path


def _module(root: Path, **changes: Any) -> SegmentationDataModule:
    reader = Folder(root, names=NAMES, tags="none")
    return SegmentationDataModule(**{"reader": reader, "mean": MEAN, "std": STD, **changes})


def _pixels(root: Path, name: str) -> np.ndarray:
    return np.array(Image.open(root / "images" / f"{name}.png"))


def test_a_sample_keeps_the_batch_contract(root: Path) -> None:
    sample = _module(root).dataset("train", with_masks=True)[2]
    assert set(sample) == {"image", "tags", "mask", "image_id", "size", "shown"}
    assert (sample["image"].dtype, sample["image"].shape) == (torch.float32, (3, 25, 15))
    assert (sample["tags"].dtype, sample["tags"].tolist()) == (torch.bool, [False, False, True])
    assert (sample["mask"].dtype, sample["mask"].shape) == (torch.int64, (25, 15))
    assert sample["image_id"] == "c"
    assert (sample["size"].dtype, sample["size"].tolist()) == (torch.int64, [25, 15])
    assert sample["image"].is_contiguous()


def test_the_image_is_rgb_and_normalised_per_channel(root: Path) -> None:
    sample = _module(root).dataset("train")[0]
    expected = (_pixels(root, "a") / 255 - MEAN) / STD
    assert np.allclose(sample["image"].numpy(), expected.transpose(2, 0, 1), atol=1e-6)


def test_images_and_masks_are_resized_and_the_size_is_the_original(root: Path) -> None:
    sample = _module(root, size=(10, 15)).dataset("train", with_masks=True)[0]
    assert sample["image"].shape == (3, 10, 15)
    assert sample["size"].tolist() == [20, 30]
    reference = Image.fromarray(_pixels(root, "a")).resize((15, 10), Image.Resampling.BILINEAR)  # Pillow's antialiases
    expected = (np.array(reference) / 255 - MEAN) / STD
    assert np.abs(sample["image"].numpy() - expected.transpose(2, 0, 1)).max() < 0.02
    assert sample["mask"].shape == (10, 15)
    assert set(sample["mask"].unique().tolist()) == {0, 1, 255}


def test_a_sample_does_not_share_memory_with_its_record(root: Path) -> None:
    dataset = _module(root).dataset("train")
    dataset[0]["tags"][:] = True
    assert dataset[0]["tags"].tolist() == [True, False, False]


def test_without_masks_no_mask_is_opened(root: Path) -> None:
    shutil.rmtree(root / "masks")
    module = _module(root)
    loaders = (module.train_dataloader(), module.val_dataloader(), module.predict_dataloader())
    samples = [*module.dataset("train"), *chain.from_iterable(loaders)]
    assert len(samples) == 3 + 3 + 1 + 1
    assert all("mask" not in sample for sample in samples)


def test_with_masks_a_missing_mask_is_named_when_the_dataset_is_built(root: Path) -> None:
    (root / "masks" / "b.png").unlink()
    with pytest.raises(InputError, match=r"masks/b\.png does not exist: add it"):
        _module(root).dataset("train", with_masks=True)


def test_a_record_without_a_place_for_its_mask_names_the_image(root: Path) -> None:
    record = Record("a", root / "images" / "a.png", None, np.zeros(3, bool))
    with pytest.raises(InputError, match=r"the mask of .*a\.png does not exist"):
        _module(root).read_target(record)


def test_a_missing_image_is_named_when_the_records_are_built(root: Path) -> None:
    (root / "images" / "b.png").unlink()
    with pytest.raises(InputError, match=r"images/b\.png does not exist"):
        _module(root).records("train")
    record = Record("b", root / "images" / "b.png", None, np.zeros(3, bool))
    with pytest.raises(InputError, match=r"images/b\.png does not exist"):
        SegmentationDataset([record], encode=_module(root).encode)


def test_all_classes_are_kept_by_default(root: Path) -> None:
    module = _module(root)
    assert module.class_names == NAMES
    assert module.num_classes == 3
    mask = np.array([[0, 1, 2, 3, 255]], np.uint8)
    assert np.array_equal(module.encode(mask, root), mask)
    assert np.array_equal(module.decode(mask), mask)


def test_kept_classes_are_contiguous_in_the_given_order(root: Path) -> None:
    module = _module(root, classes=["dog", "cat"])
    assert module.class_names == ("dog", "cat")
    assert module.num_classes == 2
    encoded = module.encode(np.array([[0, 1, 2, 3, 255]], np.uint8), root)
    assert encoded.dtype == np.uint8
    assert encoded.tolist() == [[0, 2, 255, 1, 255]]
    assert module.decode(np.array([[0, 1, 2, 255]], np.uint8)).tolist() == [[0, 3, 1, 255]]
    assert [record.tags.tolist() for record in module.records("train")] == [
        [False, True],
        [False, False],
        [True, False],
    ]


@pytest.mark.parametrize("index", [4, 128, 254])
def test_an_index_of_no_class_is_refused(root: Path, index: int) -> None:
    with pytest.raises(InputError, match=rf"x\.png holds index {index}, but the data set's classes are 1\.\.3"):
        _module(root, classes=["cow"]).encode(np.array([[0, index]], np.uint8), Path("x.png"))


@pytest.mark.parametrize("label", [3, 254])
def test_a_label_of_no_kept_class_is_a_programming_error(root: Path, label: int) -> None:
    with pytest.raises(ValueError, match=r"labels are 0\.\.2 or 255"):
        _module(root, classes=["cow", "cat"]).decode(np.array([[0, label]], np.uint8))


def test_an_unknown_class_lists_the_known_ones(root: Path) -> None:
    with pytest.raises(InputError, match=r"'horse' is unknown; choose from cat, cow, dog"):
        _module(root, classes=["cat", "horse"])


@pytest.mark.parametrize("classes", [[], ["cat", "cat"]])
def test_no_class_and_twice_a_class_are_refused(root: Path, classes: list[str]) -> None:
    with pytest.raises(InputError, match="empty or names a class twice"):
        _module(root, classes=classes)


def test_a_target_has_the_images_own_size_and_contiguous_labels(root: Path) -> None:
    module = _module(root, classes=["dog"], size=(8, 8))
    target = module.read_target(module.records("val")[0])
    assert (target.dtype, target.shape) == (np.uint8, (25, 15))
    expected = np.zeros((25, 15), np.uint8)
    expected[5:10, 5:10], expected[12:14] = 1, 255
    assert np.array_equal(target, expected)


@pytest.mark.parametrize("size", [None, (8, 8)])
def test_a_mask_of_another_size_names_both_files(root: Path, size: tuple[int, int] | None) -> None:
    write_mask(root / "masks" / "c.png", np.zeros((15, 25), np.uint8))
    module = _module(root, size=size)
    message = r"masks/c\.png has size \(15, 25\) \(H, W\), but .*images/c\.png has \(25, 15\)"
    with pytest.raises(InputError, match=message):
        module.read_target(module.records("val")[0])
    with pytest.raises(InputError, match=message):
        module.dataset("val", with_masks=True)[0]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_stacked(root: Path, workers: int) -> None:
    module = _module(root, size=(8, 12), batch_size=3, workers=workers)
    (batch,) = module.train_dataloader()
    assert batch["image"].shape == (3, 3, 8, 12)
    assert batch["tags"].shape == (3, 3)
    assert batch["size"].tolist() == [list(SHAPES[name]) for name in batch["image_id"]]
    assert sorted(batch["image_id"]) == ["a", "b", "c"]
    assert "mask" not in batch


def test_a_batch_of_different_sizes_is_refused_with_the_remedy(root: Path) -> None:
    with pytest.raises(InputError, match="differ in size: set the data set's size"):
        list(_module(root, batch_size=3).train_dataloader())


def test_training_order_is_shuffled_by_the_seed_alone(root: Path) -> None:
    def order(seed: int) -> list[str]:
        loader = _module(root, seed=seed).train_dataloader()
        return [batch["image_id"][0] for _ in range(3) for batch in loader]

    before = torch.random.get_rng_state()
    orders = {seed: order(seed) for seed in range(4)}
    assert len({tuple(names) for names in orders.values()}) > 1
    torch.rand(5)
    assert order(1) == orders[1]
    torch.random.set_rng_state(before)
    list(_module(root).train_dataloader())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_incomplete_last_batch_is_left_out(root: Path) -> None:
    loader = _module(root, size=(8, 8), batch_size=2).train_dataloader()
    assert len(loader) == 1
    assert [len(batch["image_id"]) for _ in range(3) for batch in loader] == [2, 2, 2]


def _augmented(root: Path, **changes: Any) -> SegmentationDataModule:
    return _module(root, augmentation=crop_augmentation((16, 12), mean=MEAN), **changes)


def _epochs(loader: Any, count: int) -> list[list[dict[str, Any]]]:
    return [list(loader) for _ in range(count)]


def _same(first: list[list[dict[str, Any]]], second: list[list[dict[str, Any]]]) -> bool:
    pairs = zip(chain.from_iterable(first), chain.from_iterable(second), strict=True)
    return all(a["image_id"] == b["image_id"] and torch.equal(a["image"], b["image"]) for a, b in pairs)


def test_every_time_through_an_image_is_augmented_otherwise(root: Path) -> None:
    epochs = _epochs(_augmented(root, batch_size=3).train_dataloader(), 4)
    for name in SHAPES:
        shown = [batch["image"][batch["image_id"].index(name)] for (batch,) in epochs]
        assert len({tuple(image.flatten().tolist()) for image in shown}) == 4
    assert epochs[0][0]["image"].shape == (3, 3, 16, 12)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_no_training_batch(root: Path, workers: int) -> None:
    alone = _epochs(_augmented(root, batch_size=2).train_dataloader(), 3)
    assert not _same(alone[:1], alone[1:2])
    assert _same(_epochs(_augmented(root, batch_size=2, workers=workers).train_dataloader(), 3), alone)
    loader = _augmented(root, batch_size=2, workers=workers).train_dataloader()
    again = StepLoader(loader.dataset, batch_size=None, sampler=loader.sampler, num_workers=workers)
    assert _same(_epochs(again, 3), alone)  # workers that do not persist


def test_only_training_batches_are_augmented(root: Path) -> None:
    plain, module = _module(root, val_list="train"), _augmented(root, val_list="train")
    assert _same([list(module.val_dataloader())], [list(plain.val_dataloader())])
    assert torch.equal(module.dataset("train")[0]["image"], plain.dataset("train")[0]["image"])


class Watcher(pl.LightningModule):
    """A network of one weight per channel that keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(3, 1, 1))
        self.seen: list[dict[str, Any]] = []

    def training_step(self, batch: dict[str, Any]) -> torch.Tensor:
        self.seen.append(batch)
        return (self.weight * batch["image"] - batch["tags"].float().mean()).square().mean()

    def test_step(self, batch: dict[str, Any]) -> None:
        self.seen.append(batch)

    def predict_step(self, batch: dict[str, Any]) -> list[str]:
        return list(batch["image_id"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.1)


def _trainer(folder: Path, **settings: Any) -> pl.Trainer:
    silent = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return pl.Trainer(**{"default_root_dir": folder, **silent, **settings})


def _watch(data: SegmentationDataModule, folder: Path, *, start: Path | None = None, **settings: Any) -> Watcher:
    watcher = Watcher()
    with quiet():
        trainer = _trainer(folder, **settings)
        trainer.fit(watcher, datamodule=data, ckpt_path=start)
        trainer.save_checkpoint(folder / "saved.ckpt")
    return watcher


def test_a_trainer_sees_the_same_batches_and_a_resumed_one_goes_on(root: Path, tmp_path: Path) -> None:
    expected = _epochs(_augmented(root).train_dataloader(), 3)
    assert _same([_watch(_augmented(root), tmp_path, max_epochs=2).seen], expected[:2])
    rest = _watch(_augmented(root), tmp_path, max_epochs=3, start=tmp_path / "saved.ckpt")
    assert _same([rest.seen], expected[2:])


@pytest.mark.parametrize("steps", [None, 7])
def test_a_trainer_sees_the_batches_of_image_steps(root: Path, tmp_path: Path, steps: int | None) -> None:
    data = _augmented(root, batch_size=2, steps=steps, seed=3)
    expected = ImageSteps(data.dataset("train"), batch_size=2, seed=3, steps=7)
    seen = _watch(data, tmp_path, max_steps=7).seen
    assert _same([seen], [[expected.batch(step, rank=0, world=1) for step in range(7)]])


def test_a_training_run_of_some_steps_is_one_epoch(root: Path) -> None:
    assert len(_module(root, steps=7).train_dataloader()) == 7
    assert len(_module(root).train_dataloader()) == 3


@pytest.mark.parametrize("steps", [None, 6])
def test_two_accumulated_batches_are_one_batch_twice_as_large(root: Path, tmp_path: Path, steps: int | None) -> None:
    large = _watch(_augmented(root, batch_size=2, steps=steps), tmp_path, max_steps=6)
    small = _watch(_augmented(root, batch_size=1, steps=steps), tmp_path, max_steps=6, accumulate_grad_batches=2)
    parts = [batch["image_id"] for batch in small.seen]
    assert [batch["image_id"] for batch in large.seen] == [parts[2 * n] + parts[2 * n + 1] for n in range(6)]
    assert torch.equal(large.seen[5]["image"][1], small.seen[11]["image"][0])  # augmented alike
    assert len(small.seen) == 12 and small.weight.any()


@pytest.mark.parametrize("steps", [None, 6])
def test_an_accumulating_run_is_resumed_to_the_same_bits(root: Path, tmp_path: Path, steps: int | None) -> None:
    def watch(last: int, start: Path | None = None) -> Watcher:
        data = _augmented(root, batch_size=1, steps=steps)
        return _watch(data, tmp_path, start=start, max_steps=last, accumulate_grad_batches=2)

    whole = watch(6)
    watch(4)
    rest = watch(6, tmp_path / "saved.ckpt")
    assert _same([rest.seen], [whole.seen[8:]])
    assert torch.equal(rest.weight, whole.weight)


@pytest.mark.parametrize("size", [None, (8, 12)])
def test_testing_shows_targets_at_their_own_size(root: Path, tmp_path: Path, size: tuple[int, int] | None) -> None:
    data = _module(root, val_list="train", size=size, batch_size=2, classes=["dog", "cat"])
    watcher = Watcher()
    with quiet():
        _trainer(tmp_path).test(watcher, datamodule=data, verbose=False)
    targets = [target for batch in watcher.seen for target in batch["target"]]
    assert [name for batch in watcher.seen for name in batch["image_id"]] == ["a", "b", "c"]
    assert len(watcher.seen) == (3 if size is None else 2)
    for record, target in zip(data.records("val"), targets, strict=True):
        assert np.array_equal(target.numpy(), data.read_target(record)) and target.dtype == torch.uint8
    assert "mask" not in watcher.seen[0]


def test_testing_without_masks_is_refused_at_once(root: Path) -> None:
    (root / "masks" / "c.png").unlink()
    with pytest.raises(InputError, match=r"masks/c\.png does not exist"):
        _module(root).test_dataloader()


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("size", [None, (8, 12)])
def test_prediction_needs_no_masks(root: Path, tmp_path: Path, split: Any, size: tuple[int, int] | None) -> None:
    shutil.rmtree(root / "masks")
    data = _augmented(root, size=size, batch_size=2, predict_split=split)
    with quiet():
        shown = _trainer(tmp_path).predict(Watcher(), datamodule=data)
    ids = [name for batch in shown or [] for name in batch]
    assert ids == {"train": ["a", "b", "c"], "val": ["c"]}[split]
    for batch in data.predict_dataloader():
        assert batch["size"].tolist() == [list(SHAPES[name]) for name in batch["image_id"]]
        assert batch["image"].shape[2:] == (size or SHAPES[batch["image_id"][0]])
        assert "mask" not in batch and "target" not in batch


@pytest.mark.parametrize("world", [2, 4])
def test_devices_predict_and_test_every_image_once(root: Path, world: int) -> None:
    ids: dict[str, list[str]] = {"predict": [], "test": []}
    for rank in range(world):
        data = _module(root, val_list="train", size=(8, 8), batch_size=2)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world, accelerator=None)  # type: ignore[assignment]
        for name, loader in (("predict", data.predict_dataloader()), ("test", data.test_dataloader())):
            ids[name] += [image_id for batch in loader for image_id in batch["image_id"]]
        assert [batch["image_id"] for batch in data.val_dataloader()] == [["a", "b"], ["c"]]
    assert {name: sorted(shown) for name, shown in ids.items()} == {"predict": list("abc"), "test": list("abc")}


def test_validation_keeps_the_order_of_the_list(root: Path) -> None:
    loader = _module(root, val_list="train").val_dataloader()
    assert [batch["image_id"] for batch in loader] == [["a"], ["b"], ["c"]]


def test_damaged_files_are_named_while_reading(root: Path) -> None:
    path = root / "images" / "a.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"images/a\.png cannot be decoded"):
        _module(root).dataset("train")[0]


def test_records_are_read_once(root: Path) -> None:
    module = _module(root)
    assert module.records("train") is module.records("train")
    assert [record.image_id for record in module.records("val")] == ["c"]
