"""Training the point classifier at the paper's size on synthetic points (points sec. 4.1: "less than 3 minutes")."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytorch_lightning as pl
import torch
from measurement import Row, Task, measure, operations, timed
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.data.steps import StepData
from wsss_lightning.methods.points.classifier import PointClassifier, PointClassifierModule
from wsss_lightning.methods.points.stages.point_data import PointBank, PointSteps
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.nn.description import described
from wsss_lightning.nn.hypercolumns import Standardisation
from wsss_lightning.stages.fit import fit

_RATE = 1e-6  # sec. 4.1
_TIMES = 20  # repetitions of a part of a step in one round
_CHUNK = 10_000  # points drawn at a time, so that drawing takes little memory beside the bank


@dataclass(frozen=True)
class Setting:
    """Sizes of a training run. The paper's: `images` of trainaug, 4,224 own and 4,096 global features, 512 units.

    The paper does not count its points: VOC's images show 1.5 classes on average, each gives 20 points and the
    background 20 more, so 50 an image.
    """

    images: int = 10_582
    points_per_image: int = 50
    own: int = 4_224
    shared: int = 4_096
    hidden: int = 512
    labels: int = 21
    batch: int = 100
    epochs: int = 2

    @property
    def points(self) -> int:
        """In the bank."""
        return self.images * self.points_per_image

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return self.epochs * (self.points // self.batch)


def classifier(setting: Setting, *, steps: int, rounds: int, whole: bool) -> Row:
    """Seconds per step over blocks of `steps` steps, and minutes of the whole training that follow from them.

    `whole`: also run the stage from its first step to its last. With a CUDA device the whole training is run there too.
    """
    torch.manual_seed(0)
    bank = random_bank(setting)
    found: Row = {"setting": asdict(setting) | {"points": setting.points, "steps": setting.steps}}
    found["bank_bytes"] = bank.features.nbytes + bank.pooled.nbytes
    if torch.cuda.is_available():
        # First: Lightning's trainer leaves torch in its deterministic mode.
        found["cuda"] = on_device(bank, setting, rounds=rounds, device="cuda")
    trainings = _trainings(bank, setting, steps)
    found["rows"], found["limits"] = measure({**_parts(bank, setting), **trainings}, rounds=rounds)
    minutes = {name: found["rows"][name]["median_s"] * setting.steps / 60 for name in trainings}
    found["extrapolated"] = {"from_steps": steps, "minutes": minutes}
    if whole:
        found["whole_stage_minutes"] = _stage(bank, setting, setting.steps)() * setting.steps / 60
    return found


def random_bank(setting: Setting) -> PointBank:
    """As many points as the setting has, own features in half precision as the stage stores them."""
    features = torch.empty(setting.points, setting.own, dtype=torch.float16)
    for part in features.split(_CHUNK):
        part.copy_(torch.rand(part.shape))
    return PointBank(
        features=features,
        labels=torch.randint(setting.labels, (setting.points,)),
        images=torch.arange(setting.points) // setting.points_per_image,
        pooled=torch.rand(setting.images, setting.shared),
    )


def _network(setting: Setting) -> PointClassifier:
    statistics = Standardisation(torch.zeros(setting.own), torch.ones(setting.own), enabled=False)
    return PointClassifier(
        statistics=statistics, global_size=setting.shared, hidden=setting.hidden, num_labels=setting.labels
    )


@described
def stored_features(own: int, shared: int) -> Backbone:
    """The backbone of features that are stored: it is never asked for them."""
    backbone = Backbone()
    backbone.channels, backbone.global_size = (own,), shared
    return backbone


def _module(setting: Setting) -> PointClassifierModule:
    return PointClassifierModule(
        class_names=[f"class {label}" for label in range(1, setting.labels)],
        backbone=stored_features(setting.own, setting.shared),
        grid=(1, 1),
        hidden=setting.hidden,
        rate=_RATE,
    )


class _Loop:
    """The training without Lightning, on the device where the bank is."""

    def __init__(self, bank: PointBank, setting: Setting, *, fused: bool) -> None:
        self.bank, self.batch_size, self.device = bank, setting.batch, bank.features.device
        self.network = _network(setting).to(self.device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=_RATE, fused=fused)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pooled = self.bank.pooled[self.bank.images[rows]]
        return self.bank.features[rows].float(), pooled, self.bank.labels[rows]

    def learn(self, own: Tensor, pooled: Tensor, labels: Tensor) -> None:
        self.optimizer.zero_grad()
        F.cross_entropy(self.network(own, pooled), labels).backward()

    def run(self, steps: int) -> None:
        """So many steps; every epoch is a permutation, what is left of it beyond full batches is dropped."""
        total = len(self.bank.labels)
        for step in range(steps):
            first = step % (total // self.batch_size) * self.batch_size
            if first == 0:
                order = torch.randperm(total, device=self.device)
            self.learn(*self.batch(order[first : first + self.batch_size]))
            self.optimizer.step()


def _parts(bank: PointBank, setting: Setting) -> dict[str, Task]:
    """What a step consists of."""
    plain, fused = _Loop(bank, setting, fused=False), _Loop(bank, setting, fused=True)
    order = torch.randperm(setting.points)
    batch = plain.batch(order[: setting.batch])
    plain.learn(*batch)
    fused.learn(*batch)
    gather, learn, adam = _traffic(setting)

    def random_batch() -> None:
        plain.batch(torch.randint(setting.points, (setting.batch,)))

    work = _step_work(plain)
    return {
        "part: batch of points": Task(timed(random_batch, times=_TIMES), traffic=gather),
        "part: forward and backward": Task(timed(lambda: plain.learn(*batch), times=_TIMES), work, learn),
        "part: Adam": Task(timed(plain.optimizer.step, times=_TIMES), traffic=adam),
        "part: Adam(fused=True)": Task(timed(fused.optimizer.step, times=_TIMES), traffic=adam),
    }


def _traffic(setting: Setting) -> tuple[int, int, int]:
    """Bytes read and written at least: by gathering a batch, by forward and backward, by Adam."""
    weights = 4 * (setting.own + setting.shared + setting.labels) * setting.hidden
    batch = 4 * setting.batch * (setting.own + setting.shared)
    stored = setting.batch * (2 * setting.own + 4 * setting.shared)
    # Weights and gradients; Adam reads weights, gradients and two moments and writes all but the gradients.
    return stored + batch, batch + 2 * weights, 7 * weights


def _trainings(bank: PointBank, setting: Setting, steps: int) -> dict[str, Task]:
    plain, fused = _Loop(bank, setting, fused=False), _Loop(bank, setting, fused=True)
    work, traffic = _step_work(plain), sum(_traffic(setting))
    return {
        "training: bare loop, Adam": Task(_per_step(plain, steps), work, traffic),
        "training: bare loop, Adam(fused=True)": Task(_per_step(fused, steps), work, traffic),
        f"training: the stage, Lightning, {_own_adam(setting)}": Task(_stage(bank, setting, steps), work, traffic),
    }


def _own_adam(setting: Setting) -> str:
    """Which of the two implementations the package's module asks for."""
    optimizer = _module(setting).configure_optimizers()["optimizer"]
    return "Adam(fused=True)" if optimizer.defaults["fused"] else "Adam"


def _step_work(loop: _Loop) -> int:
    batch = loop.batch(torch.arange(loop.batch_size, device=loop.device))
    return operations(lambda: loop.learn(*batch))


def _per_step(loop: _Loop, steps: int) -> Callable[[], float]:
    seconds = timed(lambda: loop.run(steps), device=loop.device.type)
    return lambda: seconds() / steps


class _Stamped(PointSteps):
    """Notes when each step asks for its batch."""

    def __init__(self, bank: PointBank, *, total: int, batch_size: int) -> None:
        super().__init__(bank, total=total, batch_size=batch_size, seed=0)
        self.stamps: list[float] = []

    def batch(self, step: int, *, rank: int, world: int) -> dict[str, Tensor]:
        self.stamps.append(time.perf_counter())
        return super().batch(step, rank=rank, world=world)


def _stage(bank: PointBank, setting: Setting, steps: int) -> Callable[[], float]:
    """Seconds per step of the stage's training from its first step to its last, checkpoints and logs included."""

    def seconds() -> float:
        stamped = _Stamped(bank, total=steps, batch_size=setting.batch)
        with TemporaryDirectory() as folder:
            fit(
                out_dir=Path(folder),
                model=_module(setting),
                data=StepData(steps=lambda _: stamped),
                inputs=None,
                callbacks=None,
                trainer=partial(pl.Trainer, accelerator="cpu", devices=1, precision="32-true", deterministic=True),
                loggers={"csv": CSVLogger(folder, name="logs")},
                checkpoint_every=200,  # conf/runtime
                progress=False,
                description="point classifier",
            )
        return (stamped.stamps[-1] - stamped.stamps[0]) / (len(stamped.stamps) - 1)

    return seconds


def on_device(bank: PointBank, setting: Setting, *, rounds: int, device: str) -> Row:
    """The whole training with all points on `device`, in float32."""
    moved = PointBank(
        features=bank.features.to(device),
        labels=bank.labels.to(device),
        images=bank.images.to(device),
        pooled=bank.pooled.to(device),
    )
    loop, name = _Loop(moved, setting, fused=True), f"training: bare loop on {device}, Adam(fused=True)"
    task = Task(_per_step(loop, setting.steps), _step_work(loop), sum(_traffic(setting)))
    rows, limits = measure({name: task}, rounds=rounds, device=device)
    return {"rows": rows, "limits": limits, "whole_s": rows[name]["median_s"] * setting.steps}
