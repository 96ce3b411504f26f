"""The `wsss` command as a user meets it: what it prints, where it writes, how it ends."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fake_stages
import pytest

from wsss_lightning import cli
from wsss_lightning.pipeline.configuration import project_folder

CONF = project_folder("conf")

FAKE = """
# @package _global_
value: 2
stages:
  common:
    _target_: fake_stages.slow
    out_dir: ${out_dir:}
    seconds: 0.3
  last:
    _target_: fake_stages.refuse
    out_dir: ${out_dir:}
    previous: ${artifact:common}
    value: ${value}
result: last
"""


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


class Wsss:
    """The command, called in this process, with a config folder that holds the method `fake`."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.capsys, self.monkeypatch = folder, capsys, monkeypatch
        self.root = folder / "runs"
        (folder / "conf" / "method").mkdir(parents=True)
        (folder / "conf" / "method" / "fake.yaml").write_text(FAKE)

    def __call__(self, *arguments: str) -> Ended:
        self.monkeypatch.setattr(sys, "argv", ["wsss", *arguments])
        status = 0
        try:
            cli.main()
        except SystemExit as ended:
            status = _status(ended)
        captured = self.capsys.readouterr()
        return Ended(status, captured.out, captured.err)

    def fake(self, command: str, *arguments: str) -> Ended:
        where = [f"hydra.searchpath=[{self.folder / 'conf'}]", f"paths.root={self.root}"]
        return self(command, "method=fake", *where, *arguments)

    def calls(self) -> dict[str, int]:
        """How often each stage of the store was called."""
        files = sorted((self.root / "store").glob("*-*/calls"))
        return {file.parent.name.partition("-")[0]: len(file.read_text().splitlines()) for file in files}


def _status(ended: SystemExit) -> int:
    if isinstance(ended.code, str):
        print(ended.code, file=sys.stderr)
        return 1
    return int(ended.code or 0)


@pytest.fixture
def wsss(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Wsss:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # the command sets it: put back afterwards
    return Wsss(tmp_path, capsys, monkeypatch)


def test_run_writes_metrics_and_a_second_run_computes_nothing(wsss: Wsss) -> None:
    first = wsss.fake("run")
    assert first.status == 0 and "[1/2] common" in first.err and "running" in first.err
    second = wsss.fake("run")
    assert second.status == 0 and second.err.count("cached") == 2 and "running" not in second.err
    assert wsss.calls() == {"common": 1, "last": 1}
    folders = sorted((wsss.root / "logs").iterdir())
    assert [json.loads((folder / "metrics.json").read_text()) for folder in folders] == [{"value": 2.0}] * 2
    stages = json.loads((folders[0] / "stages.json").read_text())
    assert list(stages) == ["common", "last"] and all(Path(folder).is_dir() for folder in stages.values())


def _press_ctrl_c(*, out_dir: str, seconds: float) -> None:
    raise KeyboardInterrupt


def _press_ctrl_c_in_a_training(*, out_dir: str, seconds: float) -> None:
    """As Lightning ends then."""
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.exit(1)


@pytest.mark.parametrize("press", [_press_ctrl_c, _press_ctrl_c_in_a_training])
def test_ctrl_c_ends_in_one_sentence_and_a_status_of_its_own(
    wsss: Wsss, monkeypatch: pytest.MonkeyPatch, press: Callable[..., None]
) -> None:
    with monkeypatch.context() as during:
        during.setattr(fake_stages, "slow", press)
        stopped = wsss.fake("run")
    assert stopped.status == 130
    told = stopped.err.splitlines()[-1]
    assert told == "wsss: interrupted. What is finished is kept, and the same command goes on from there."
    assert wsss.fake("run").status == 0


def test_the_help_of_run_names_its_own_options_and_every_group(wsss: Wsss) -> None:
    told = wsss("run", "--help")
    assert told.status == 0 and "--fresh STAGE" in told.out and "-m, --multirun" in told.out
    groups = {path.parent.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml")} - {"."}
    listed = {line.partition(":")[0] for line in told.out.splitlines()}
    assert {group for group in groups if not group.startswith(("hydra", "tuning"))} <= listed


def test_plan_sees_what_run_sees(wsss: Wsss) -> None:
    planned = wsss.fake("plan", "value=4")
    assert planned.status == 0 and planned.out.count("to run") == 2
    assert wsss.fake("run", "value=4").status == 0
    planned = wsss.fake("plan", "value=4")
    assert planned.out.count("cached") == 2 and "to run" not in planned.out


@pytest.fixture
def reference(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """An override that makes stage `last` read an artifact, or a folder from outside the store."""
    folder = tmp_path / "masks"
    folder.mkdir()
    (folder / "one.png").write_bytes(b"a mask")
    return f"stages.last.previous=${{{request.param.format(folder=folder)}}}/sub"


@pytest.mark.parametrize("reference", ["artifact:common", "folder:{folder}"], indirect=True)
@pytest.mark.parametrize("logger", ["csv", "wandb"])
def test_references_may_stand_on_the_command_line(wsss: Wsss, reference: str, logger: str) -> None:
    assert wsss.fake("plan", reference).out.count("to run") == (2 if "artifact" in reference else 1)
    done = wsss.fake("run", reference, "value=4", f"logger={logger}")
    assert done.status == 0, done.err
    assert reference in done.err
    assert "to run" not in wsss.fake("plan", reference, "value=4").out


def test_references_may_stand_in_a_sweep(wsss: Wsss) -> None:
    done = wsss.fake("run", "-m", "stages.last.previous=${artifact:common},${artifact:common}/sub", "value=2,4")
    assert done.status == 0, done.err
    assert len(list((wsss.root / "store").glob("last-*/stage.json"))) == 4


@pytest.mark.parametrize("fresh", [["--fresh", "common"], ["--fresh=common"], ["--fresh", "last,common"]])
def test_a_fresh_stage_is_computed_again_with_all_that_read_it(wsss: Wsss, fresh: list[str]) -> None:
    wsss.fake("run")
    for path in (wsss.root / "store").glob("*-*/calls"):
        path.write_text("before\n")
    done = wsss.fake("run", *fresh)
    assert done.status == 0 and done.err.count("running") == 2
    assert {path.read_text() for path in (wsss.root / "store").glob("*-*/calls")} == {"called\n"}
    assert wsss.fake("run", "--fresh", "last").err.count("running") == 1


def test_a_sweep_computes_a_fresh_stage_once(wsss: Wsss) -> None:
    wsss.fake("run", "-m", "value=2,4")
    done = wsss.fake("run", "--fresh", "common", "-m", "value=2,4")
    assert done.status == 0 and done.err.count("running") == 3


def test_a_fresh_stage_that_is_not_planned_is_refused(wsss: Wsss) -> None:
    done = wsss.fake("run", "--fresh", "typo")
    assert done.status == 1
    assert done.err.splitlines()[-1] == "wsss: There is no stage typo in this plan; its stages are common, last."


def test_a_sweep_is_planned_with_every_stage_once_and_the_jobs_that_need_it(wsss: Wsss) -> None:
    planned = wsss.fake("plan", "-m", "value=2,4")
    assert planned.status == 0 and planned.out.startswith("job 0: value=2\njob 1: value=4\n")
    rows = [re.findall(r"[\w,]+", line)[:6] for line in planned.out.splitlines() if "to run" in line]
    assert [[row[0], *row[4:5]] for row in rows] == [["common", "all"], ["last", "0"], ["last", "1"]]
    assert wsss.fake("run", "-m", "value=2,4").status == 0
    planned = wsss.fake("plan", "-m", "value=2,4,6")
    assert planned.out.count("cached") == 3 and planned.out.count("to run") == 1
    refused = wsss.fake("plan", "value=2,4").err
    assert "key='value1,value2'; 3. To sweep over it, add --multirun" in refused


def test_what_hydra_says_of_the_next_job_is_no_line_of_the_last(wsss: Wsss) -> None:
    command = [sys.executable, "-m", "wsss_lightning.cli", "run", "-m", "method=fake", "value=2,4"]
    where = [f"hydra.searchpath=[{wsss.folder / 'conf'}]", f"paths.root={wsss.root}"]
    environment = {**os.environ, "PYTHONPATH": str(Path(fake_stages.__file__).parent)}
    done = subprocess.run([*command, *where], env=environment, capture_output=True, text=True, check=True)
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    (launched,) = [line for line in lines if "#1 :" in line]
    assert "job 0" not in launched and [line for line in lines if line.startswith("job 0: ")]


def test_a_sweep_is_a_group_of_runs_named_by_what_varies(wsss: Wsss) -> None:
    done = wsss.fake("run", "-m", "value=2,4", "seed=1", "logger=tensorboard")
    assert done.status == 0, done.err
    (group,) = (wsss.root / "tensorboard").iterdir()
    (sweep,) = (wsss.root / "sweeps").iterdir()
    assert group.name == sweep.name
    names = sorted(folder.name.rpartition("-")[0] for folder in group.iterdir())
    assert names == ["fake_shapes_tiny_value=2", "fake_shapes_tiny_value=4"]
    wsss.fake("run", "value=2", "logger=tensorboard", "run.name=mine", "run.group=own")
    assert [folder.name.partition("-")[0] for folder in (wsss.root / "tensorboard" / "own").iterdir()] == ["mine"]


def test_rerun_from_the_record(wsss: Wsss) -> None:
    wsss.fake("run")
    (record,) = (wsss.root / "store").glob("last-*/stage.json")
    foreign = wsss("rerun", str(record))
    assert foreign.status == 1 and "--trust fake_stages" in foreign.err and foreign.err.count("\n") == 1
    done = wsss("rerun", str(record), "--trust", "fake_stages")
    assert (done.status, done.out) == (0, "value 2.000000\n")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["plan", "seeed=1"], "seeed"),
        (["run", "seeed=1"], "seeed"),
        (["run", "method=typo"], "typo"),
        (["plan", "logger=null"], "conf/logger"),
        (["run", "-m", "trainer=null,default"], "conf/trainer"),
        (["run", "=3"], "NAME=VALUE"),
        (["run", "method=patches", "experiment=cam/student"], "method=cam"),
        (["run", "result=typo"], "no stage typo"),
        (["plan", "data=voc", "data.root=/no/such/folder"], "/no/such/folder"),
        (["run", "data=voc", "data.root=/no/such/folder"], "/no/such/folder"),
        (["run", "backbone.weights=/no/such/file.pth"], "/no/such/file.pth"),
        (["rerun", "no_such_folder/stage.json"], "no_such_folder"),
    ],
)
def test_bad_input_is_one_sentence(wsss: Wsss, arguments: list[str], word: str) -> None:
    where = [f"paths.root={wsss.root}"] if arguments[0] != "rerun" else []
    ended = wsss(*arguments, *where)
    lines = [line for line in ended.err.splitlines() if line.startswith("wsss: ")]
    assert ended.status == 1
    assert len(lines) == 1 and word in lines[0] and lines[0].endswith(".")
    assert ended.err.splitlines()[-1] == lines[0]
    assert "Traceback" not in ended.err and "Error executing job" not in ended.err


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_path_that_hydra_cannot_read_is_quoted(wsss: Wsss, tmp_path: Path, command: str) -> None:
    root = tmp_path / "run=1#x, (a)"
    assert wsss.fake(command, f"value={root}").err.splitlines()[-1] == (
        f"wsss: value={root} cannot be read: quote a value with =, commas or brackets, 'value=\"{root}\"'."
    )
    assert wsss.fake(command, f'stages.last.previous="{root.name}"').status == 0


def test_bad_input_inside_a_stage_is_one_sentence(wsss: Wsss) -> None:
    ended = wsss.fake("run", "value=1")
    assert ended.status == 1
    assert ended.err.splitlines()[-1] == "wsss: value=1 is odd: give an even one."
    assert "Traceback" not in ended.err


def test_an_option_that_is_hydras_alone_is_refused_by_plan(wsss: Wsss) -> None:
    assert wsss("plan", "--config-dir", "conf").status == 2


def test_a_sweep_shares_stages_and_survives_a_failing_job(wsss: Wsss) -> None:
    ended = wsss.fake("run", "-m", "value=1,2,3,4")
    assert ended.status == 1
    assert ended.err.splitlines()[-1] == "wsss: value=1 is odd: give an even one."
    assert "job 0 failed: value=1 is odd" in ended.err and "job 2 failed: value=3 is odd" in ended.err
    (common,) = (wsss.root / "store").glob("common-*")
    assert (common / "calls").read_text().splitlines() == ["called"]
    (sweep,) = (wsss.root / "sweeps").iterdir()
    found = {int(file.parent.name): json.loads(file.read_text()) for file in sweep.glob("*/metrics.json")}
    assert found == {1: {"value": 2.0}, 3: {"value": 4.0}}
    failure = json.loads((sweep / "0" / "failure.json").read_text())["failure"]
    assert failure == "value=1 is odd: give an even one." and (sweep / "0" / "stages.json").is_file()
    lines = [line for line in (ended.err + ended.out).splitlines() if not line.startswith("wsss: ")]
    hydras = ("Launching 4 jobs", "\t#", "Error executing job")
    assert [line for line in lines if not line.startswith(("job ", *hydras))] == []
    assert "job 1: value 2.0000 (" in ended.out
    shown = wsss("summary", "--root", str(wsss.root))
    assert "job 0 failed: value=1 is odd" in shown.out and "Best: value=4" in shown.out


def test_a_parallel_sweep_shares_stages_too(wsss: Wsss) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    where = [f"hydra.searchpath=[{wsss.folder / 'conf'}]", f"paths.root={wsss.root}", "method=fake"]
    command = ["run", "-m", *where, "value=2,4,6", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    environment = os.environ | {"PYTHONPATH": str(Path(fake_stages.__file__).parent)}
    done = subprocess.run([sys.executable, "-m", "wsss_lightning.cli", *command], env=environment, check=False)
    assert done.returncode == 0
    assert len(list((wsss.root / "sweeps").glob("*/*/metrics.json"))) == 3
    (common,) = (wsss.root / "store").glob("common-*")
    assert (common / "calls").read_text().splitlines() == ["called"]


def test_a_mistake_ends_the_command_with_its_sentence_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wsss_lightning.cli", "run", "method=typo", f"paths.root={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("wsss: ") and "points" in done.stderr and done.stderr.count("\n") == 1


def test_a_finished_run_is_shown_where_nothing_can_be_written(wsss: Wsss, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wsss.fake("run").status == 0
    before = sorted(path for path in wsss.root.rglob("*"))
    made = Path.mkdir

    def refuse(path: Path, *arguments: object, **options: object) -> None:
        if wsss.root in path.parents:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        made(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", refuse)
    again = wsss.fake("run")
    assert again.status == 0 and "2.0000" in again.out and again.err.count("cached") == 2
    assert "nothing was written: " in again.out and "(Read-only file system)" in again.out
    other = wsss.fake("run", "value=4")
    assert other.status == 1 and "(Read-only file system), and last has yet to run: set paths.root." in other.err
    assert "Traceback" not in other.err and sorted(path for path in wsss.root.rglob("*")) == before


def test_verify_names_what_is_lost_or_changed(wsss: Wsss) -> None:
    assert wsss.fake("run").status == 0
    store = str(wsss.root / "store")
    whole = wsss("store", "verify", "--store", store)
    assert whole.status == 0 and "2 whole, 0 damaged, 0 without a list of files" in whole.out
    (changed,) = (wsss.root / "store").glob("last-*/calls")
    changed.write_text("X" + changed.read_text()[1:])
    found = wsss("store", "verify", "--store", store)
    assert found.status == 1 and f"{changed.parent.name}: calls is lost or changed" in found.out
    assert wsss("store", "verify", "common", "--store", store).status == 0
    changed.unlink()
    assert "damaged" in wsss.fake("plan").out
    refused = wsss.fake("run")
    assert refused.status == 1 and refused.err.strip().endswith("compute it again with --fresh last.")


def test_the_config_of_a_job_is_shown_resolved(wsss: Wsss) -> None:
    shown = wsss.fake("run", "--cfg", "job", "--resolve", "stages.last.previous=${artifact:common}/sub")
    assert shown.status == 0 and "previous: <artifact:common>/sub" in shown.out and "out_dir: <out_dir>" in shown.out
    assert "value: 2" in shown.out and not wsss.root.exists()


def test_plan_and_run_say_how_long_it_will_take(wsss: Wsss) -> None:
    assert "by earlier runs" not in wsss.fake("plan").out
    wsss.fake("run")
    assert "by earlier runs" in wsss.fake("plan", "value=4").out
    done = wsss.fake("run", "value=4")
    assert re.search(r"1 of 2 stages to do, about 0 s and \d+ B by earlier runs", done.err) and "s on CPU" in done.err


def test_optuna_searches_by_an_objective_and_the_card_says_so(wsss: Wsss) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    search = ["hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=1", "hydra.sweeper.direction=maximize"]
    space = ["hydra/sweeper=optuna", *search, "value=choice(2,4)"]
    done = wsss.fake("run", "-m", *space, "objective=value")
    assert done.status == 0, done.err
    (results,) = wsss.root.glob("sweeps/*/optimization_results.yaml")
    assert "best_value" in results.read_text()
    records = [json.loads(path.read_text()) for path in (wsss.root / "store").glob("*-*/stage.json")]
    cards = {record["stage"]: record["card"].get("searched_on") for record in records}
    assert cards == {"last": "value images, by value (ground truth of that split)", "common": None}
    unnamed = wsss.fake("run", "-m", *space)
    assert unnamed.status == 1 and "objective=val/tag_ap: no stage reports it; there are value" in unnamed.err
