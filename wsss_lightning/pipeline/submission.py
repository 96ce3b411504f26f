"""Jobs that start later run the code of today: a copy of it, which the command that submits them runs itself."""

import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from omegaconf import OmegaConf

from wsss_lightning.backends import killed
from wsss_lightning.errors import InputError
from wsss_lightning.lifetime import end_with_parent
from wsss_lightning.pipeline.accelerators import gpus_of_job, jobs_at_once
from wsss_lightning.pipeline.configuration import project_folder
from wsss_lightning.pipeline.store import COMMIT, commit

_COPIED = "WSSS_CODE"  # environment variable: the copy that runs
# By launcher, the package of its plugin.
_LAUNCHERS = {"joblib": "hydra_joblib_launcher", "ray": "hydra_ray_launcher"}
_LAUNCHERS |= dict.fromkeys(("submitit_local", "submitit_slurm"), "hydra_submitit_launcher")
_EXTRAS = {"ray": "ray_launcher"}  # of all others: launchers
_QUEUED = ("submitit_local", "submitit_slurm")
_SWEEP = {"-m", "--multirun"}
_ONE_JOB = {"--cfg", "-c", "--info", "-i"}
_SHOW = _ONE_JOB | {"--help", "-h", "--hydra-help", "--version", "--shell-completion", "-sc"}


def launcher(arguments: Sequence[str]) -> str | None:
    """The launcher that a command line names, if any.

    Raises:
        InputError: it is not installed.
    """
    named = [argument.partition("=")[2] for argument in arguments if argument.startswith("hydra/launcher=")]
    plugin = _LAUNCHERS.get(named[-1]) if named else None
    if plugin is not None and importlib.util.find_spec(f"hydra_plugins.{plugin}") is None:
        extra = _EXTRAS.get(named[-1], "launchers")
        raise InputError(f"hydra/launcher={named[-1]} is not installed: pip install 'wsss-lightning[{extra}]'.")
    return named[-1] if named else None


def prepare_launcher(arguments: Sequence[str]) -> None:
    """Let our configuration of a launcher stand for its plugin's, and know what it asks for, in Hydra's workers, too.

    Hydra would else compare one with the other, by a rule that it calls deprecated, in three lines a process.
    """
    OmegaConf.register_new_resolver("jobs_at_once", jobs_at_once, replace=True)
    OmegaConf.register_new_resolver("gpus_of_job", gpus_of_job, replace=True)
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # to Ray, what two jobs say with their numbers is the same
    if launcher(arguments) in _LAUNCHERS:
        ours = _Configs()
        ours.repo = ConfigStore.instance().repo
        # What Hydra hands on to its workers, which look for plugins again.
        Singleton._instances[ConfigStore] = ours  # type: ignore[assignment]


class _Configs(ConfigStore):
    """Configurations that plugins register, without those of launchers that we have files of."""

    def store(
        self, name: str, node: Any, group: str | None = None, package: str | None = None, provider: str | None = None
    ) -> None:
        if group != "hydra/launcher" or name not in _LAUNCHERS:
            super().store(name, node, group=group, package=package, provider=provider)


def check_launcher(arguments: Sequence[str]) -> None:
    """Raise `InputError` for a launcher that would launch nothing, since there is no sweep, or no SLURM.

    What only shows a config (`--cfg` and the like) may name any, and shows no sweep.
    """
    name, options = launcher(arguments), {argument.partition("=")[0] for argument in arguments}
    if (one := sorted(options & _ONE_JOB)) and _SWEEP & options:
        raise InputError(f"{one[0]} shows one job, not a sweep: leave -m out, and give every setting one value.")
    if name in (None, "basic") or options & _SHOW:
        return
    if not _SWEEP & {*arguments}:
        raise InputError(f"hydra/launcher={name} launches the jobs of a sweep: add -m, or leave it out to run here.")
    if name == "submitit_slurm" and shutil.which("srun") is None:
        raise InputError(
            f"hydra/launcher={name}: SLURM's srun is not on PATH: give the command where jobs are submitted, or take "
            "hydra/launcher=joblib here."
        )


@contextmanager
def launching() -> Iterator[None]:
    """Inside, a launcher whose job is killed, or that reaches no cluster, raises an `InputError`."""
    try:
        yield
    except ConnectionError as error:
        if "Ray" not in str(error):
            raise
        raise InputError(
            f"{error}: see that the cluster of RAY_ADDRESS runs, and set RAY_AUTH_MODE=token where it asks for one."
        ) from error
    except Exception as error:
        if not killed(error):
            raise
        raise InputError(
            "The process of a job was killed, most likely out of memory, and with it those beside it ended: give the "
            "same command again, it goes on where they stopped; joblib takes fewer at once (hydra.launcher.n_jobs=1)."
        ) from error


def shares_devices(launcher: Mapping[str, Any]) -> bool:
    """Whether a launcher's jobs run side by side on one machine and nobody gives each devices of its own."""
    return str(launcher["_target_"]).endswith((".JoblibLauncher", ".LocalLauncher"))


def end_with_sweep(launcher: Mapping[str, Any]) -> None:
    """Let a job of Ray's end with the node that gave it to this process; by itself it goes on, if that was killed.

    Processes of joblib's launcher have asked for it before they imported anything; queued jobs outlive their sweep.
    """
    if str(launcher["_target_"]).endswith(".RayLauncher"):
        end_with_parent(os.getppid())


def go_on_from_copy(arguments: Sequence[str]) -> None:
    """Become the same command on a copy of our code and configuration, if it queues jobs and is not that already."""
    if launcher(arguments) not in _QUEUED or _COPIED in os.environ or not _SWEEP & {*arguments}:
        return
    roots = [argument.partition("=")[2] for argument in arguments if argument.startswith("paths.root=")]
    copy = copied(Path(roots[-1] if roots else os.environ.get("WSSS_ROOT", "runs")) / "code")
    paths = [str(copy), os.environ.get("PYTHONPATH", "")]
    os.environ |= {_COPIED: str(copy), "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONSAFEPATH": "1"}
    os.execv(sys.executable, [sys.executable, "-m", "wsss_lightning.cli", "run", *arguments])


def copied(folder: Path) -> Path:
    """A copy of the package and its configuration, in a folder named by what it holds."""
    wanted = [Path(__file__).resolve().parents[1], project_folder("conf"), project_folder("experiments")]
    sources = [source for source in wanted if source.is_dir()]
    copy = folder.resolve() / _digest(sources)
    if not copy.exists():
        folder.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
        for source in sources:
            shutil.copytree(source, hidden / source.name, ignore=shutil.ignore_patterns("__pycache__", "results"))
        (hidden / COMMIT).write_text(commit() or "")
        try:
            hidden.rename(copy)
        except OSError:  # another command has made the same one
            shutil.rmtree(hidden)
    return copy


def _digest(folders: Sequence[Path]) -> str:
    content = hashlib.sha256((commit() or "").encode())
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            place = path.relative_to(folder)
            if not {"__pycache__", "results"} & {*place.parts}:
                content.update(f"{folder.name}/{place}".encode())
                content.update(hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()[:16]
