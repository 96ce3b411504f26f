"""Nobody let in: what may be called, what unpickles, and that no source of ours runs text or a shell."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wsss_lightning import models
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.aliases import MOVED
from wsss_lightning.pipeline.configuration import project_folder
from wsss_lightning.pipeline.identity import current_target
from wsss_lightning.trust import TRUST, find, trusted, trusting

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*ROOT.glob("wsss_lightning/**/*.py"), *ROOT.glob("experiments/**/*.py")])
CONFIGS = sorted([*project_folder("conf").rglob("*.yaml"), *project_folder("experiments").rglob("*.yaml")])
# Calls that run or unpickle whatever they are given, by the last parts of their names.
BANNED = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv", "os.spawnl"),
    *(
        "pickle.load",
        "pickle.loads",
        "cPickle.loads",
        "dill.loads",
        "cloudpickle.loads",
        "marshal.loads",
        "shelve.open",
    ),
    *("joblib.load", "torch.hub.load", "torch.jit.load", "pandas.read_pickle", "yaml.load", "yaml.unsafe_load"),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell"),
    *("load_from_checkpoint", "torch.package.PackageImporter", "numpy.lib.format.read_array"),
}
# The only files that may: what they do instead of trusting, they say.
UNPICKLES = {"wsss_lightning/data/pickles.py"}
LOADS_TENSORS = {"wsss_lightning/tensors.py"}
# A TorchScript file is a program of torch's operations, which has to be one: docs/predict.md says so.
RUNS = {
    "wsss_lightning/inference/graphs.py": ["torch.jit.load"],
    "wsss_lightning/pipeline/config_files.py": ["yaml.load"],  # by a safe loader, of which C's is faster
    "wsss_lightning/pipeline/submission.py": ["os.execv"],  # Python itself, on a copy of this very command
}
MODULES = {"np": "numpy", "pd": "pandas", "yaml": "yaml"}


def _calls(source: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call of a source with its dotted name; a name that was imported is given in full."""
    tree = ast.parse(source)
    names = dict(MODULES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            head, _, rest = ast.unparse(node.func).partition(".")
            yield ".".join(filter(None, [names.get(head, head), rest])), node


def _faults(source: str) -> list[str]:
    """Calls that let a file or a text run, and what of their arguments does."""
    found = []
    for name, call in _calls(source):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if name in BANNED or name.split(".")[-1] in {"load_from_checkpoint", "Unpickler"}:
            found.append(name)
        if name == "torch.load" and given.get("weights_only") != "True":
            found.append(f"{name} without weights_only=True")
        if name in {"numpy.load", "numpy.lib.format.read_array"} and given.get("allow_pickle", "False") != "False":
            found.append(f"{name} with allow_pickle")
        if given.get("shell", "False") != "False" or ("shell" in given and name.startswith("subprocess")):
            found.append(f"{name} with shell")
        if None in given and name.startswith(("subprocess.", "torch.load", "numpy.load")):
            found.append(f"{name} with keywords that are not told")
    return [fault for fault in found if fault != "numpy.lib.format.read_array"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_unpickles_or_runs_what_it_is_given(path: Path) -> None:
    source, place = path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()
    assert _faults(source) == RUNS.get(place, [])
    if place not in LOADS_TENSORS:
        assert "torch.load" not in [name for name, _ in _calls(source)], "call tensors.load_pickle"
    if place not in UNPICKLES:
        assert not re.search(r"\bpickle\.(Unpickler\b|load)|import Unpickler|_Unpickler\b", source)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.load(f)",
        "from pickle import loads as l\nl(b)",
        "import numpy as n\nn.load(f, allow_pickle=True)",
        "import torch as t\nt.load(f)",
        "import torch\ntorch.load(f, weights_only=False)",
        "import torch\ntorch.load(f, **kwargs)",
        "import joblib\njoblib.load(f)",
        "from os import system\nsystem('x')",
        "import subprocess\nsubprocess.run('x', shell=True)",
        "eval('1')",
        "Model.load_from_checkpoint(f)",
    ],
)
def test_the_test_sees_what_it_is_for(source: str) -> None:
    assert _faults(source)


def test_all_that_our_configurations_call_is_trusted() -> None:
    # Hydra calls its launchers, and jobs their dashboards: no record names them.
    files = [path for path in CONFIGS if "launcher" not in path.parts]
    names = {name for path in files for name in re.findall(r"_target_:\s*([\w.]+)", path.read_text())}
    names -= {name for name in names if name.startswith("wsss_lightning.dashboards.")}
    assert len(names) > 80
    for name in names:
        assert callable(find(name, where="a configuration"))
        assert callable(find(current_target(MOVED.get(name, name)), where="a record"))


@pytest.mark.parametrize("name", ["torch.nn.Linear", "torch.nn.modules.activation.ReLU", "torch.optim.Adam"])
def test_layers_and_optimisers_of_torch_are_trusted(name: str) -> None:
    assert find(name, where="a model").__module__.startswith("torch.")


@pytest.mark.parametrize(
    "name",
    [
        *("os.system", "builtins.eval", "functools.partial", "subprocess.run", "joblib.load", "numpy.load"),
        *("torch.load", "torch.hub.load", "torch.nn.Module.load_state_dict", "torch.nn.functional.importlib"),
        *("torch.nn.modules.module.OrderedDict", "torch.optim.lr_scheduler.warnings", "torch.nn.utils.skip_init"),
        *("pytorch_lightning.seed_everything", "pytorch_lightning.callbacks.ModelCheckpoint", "wandb.init"),
        *("wsss_lightning.cli.main", "wsss_lightning.models.load", "wsss_lightning.atomic.replace_file"),
        *("wsss_lightning.nn.description.build", "wsss_lightning.stages.io.read_json", "wsss_lightning.data.pickles.x"),
        *("wsss_lightning.stages.fit.load_pickle", "wsss_lightning.stages.refine.partial", "wsss_lightning.trust.find"),
        *("", "write", "os.", ".system", "a b.c", "os..system", 3, None, ["os.system"]),
    ],
)
def test_all_else_is_not(name: Any) -> None:
    with pytest.raises(InputError, match="a file "):
        find(name, where="a file")


def test_packages_are_trusted_by_name_and_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUST, " a ,,b")
    assert trusted() == {"a", "b"} and trusted(["c"]) == {"a", "b", "c"}
    with trusting(["posixpath"]):
        assert find("posixpath.basename", where="x")("a/b") == "b"
        with pytest.raises(InputError, match=r"There is no posixpath\.gone here"):
            find("posixpath.gone", where="x")
    assert trusted() == {"a", "b"}
    monkeypatch.delenv(TRUST)
    with trusting([]):
        pass
    assert not trusted()


DESCRIPTIONS: dict[str, tuple[Any, str]] = {
    "a command": ({"_target_": "os.system", "command": "touch {victim}"}, r"os\.system, .* of another package"),
    "ours": ({"_target_": "wsss_lightning.cli.main"}, "is not called"),
    "no model": ({"_target_": "torch.nn.ReLU"}, "describes ReLU, not a model"),
    "data": ({"a": 1}, "describes dict, not a model"),
    "a text": ("x", "describes str"),
    "a wrong argument": ({"_target_": "torch.nn.Linear", "x": 1}, "describes no model that can be built here"),
    "a huge layer": ({"_target_": "torch.nn.Linear", "in_features": 2**40, "out_features": 2**40}, "can be built"),
    "a negative layer": ({"_target_": "torch.nn.Linear", "in_features": -1, "out_features": "x"}, "can be built"),
}


@pytest.mark.parametrize("fault", DESCRIPTIONS)
def test_a_folder_of_a_model_from_elsewhere(fault: str, tmp_path: Path) -> None:
    node, message = DESCRIPTIONS[fault]
    text = json.dumps({"module": node, "inputs": {}}).replace("{victim}", str(tmp_path / "victim"))
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(InputError, match=rf"model\.json.*{message}"):
        models.load(tmp_path)
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"module": {}}', "\0"])
def test_a_description_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(InputError, match=r"model\.json"):
        models.load(tmp_path)
    with pytest.raises(InputError, match=r"model\.json"):
        models.read_inputs(tmp_path)


def test_foreign_inputs_of_a_model_are_named(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(json.dumps({"module": {}, "inputs": {"class_names": []}}))
    with pytest.raises(InputError, match=r"model\.json: inputs has not the entries class_names, indices"):
        models.read_inputs(tmp_path)
