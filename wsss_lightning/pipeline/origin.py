"""What a composed config is made of: the command line, the files that it chooses, and those that these include."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.config_files import ConfigFile, Node, chosen_method, content, included, setting_names

_GROUPS = ("method", "source", "tuning", "experiment", "ablation", "sweep")  # whose files are checked
COMMAND_LINE = "command line"  # a place of settings
_OF_A_METHOD = ("experiment", "ablation", "sweep")
_ASSIGNED = re.compile(r"\+*([\w.]+)=")
_NAME = re.compile(r"[^][(),\"'\s]+")  # one of those in `a`, `[a,b]`, `"a"` or, of a sweep, `a,b`


@dataclass(frozen=True)
class Origin:
    """What a composed config is made of: Hydra's choices by group, the command line, folders with config files.

    The project's own folder is the first. `several`: it is a row of a table or a job of a sweep, of which others may
    read what it does not. Without choices it is what a command line says before anything is composed.
    """

    choices: dict[str, str]
    overrides: list[str]
    folders: list[Path]
    several: bool = False

    def settings(self) -> Iterator[tuple[str, str]]:
        """Every place and the dotted names of the values that are given there; choices of groups are none."""
        for file in self.files():
            yield from ((str(file.path), key) for key in setting_names(file.path, file.name.rpartition("/")[0]))
        for match in filter(None, map(_ASSIGNED.match, self.overrides)):
            if not any((folder / match[1]).is_dir() for folder in self.folders):
                yield COMMAND_LINE, match[1]

    @contextmanager
    def naming_files(self) -> Iterator[None]:
        """Inside, an `InputError` on a setting that a file gives has the file before it."""
        try:
            yield
        except InputError as error:
            raise InputError(self._placed(str(error))) from error

    def _placed(self, sentence: str) -> str:
        """A sentence that begins with a section and has all words of a setting there, its last one by itself."""
        fault = sentence.partition(";")[0]  # what follows names what there is instead
        words, alone = (set(re.findall(pattern, fault)) for pattern in (r"\w+", r"(?<![\w.])\w+(?!\.?\w)"))
        order = {str(file.path): _GROUPS.index(file.name.split("/")[0]) for file in self.files()}
        places = {
            order.get(place, len(_GROUPS)): place
            for place, key in self.settings()
            if "." in key
            and fault.startswith((parts := key.split("."))[0])
            and parts[-1] in alone
            and words.issuperset(parts)
        }
        place = places[max(places)] if places else COMMAND_LINE
        return sentence if place == COMMAND_LINE else f"{place}: {sentence}"

    def typed(self, group: str) -> list[str]:
        """The files of a group that the command line names; a list is no choice to Hydra."""
        pairs = (text.lstrip("+").partition("=") for text in self.overrides)
        values = [value for name, _, value in pairs if name == group]
        return _NAME.findall(values[-1]) if values else []

    def files(self) -> list[ConfigFile]:
        """The files of the groups whose settings are checked, those that are included too."""
        chosen = [f"{group}/{name}" for group, name in self.choices.items()]
        chosen += [f"{group}/{name}" for group in _GROUPS for name in self.typed(group)]
        waiting: list[tuple[str, Path | None]] = [(name, None) for name in chosen]
        found: dict[Path, ConfigFile] = {}
        while waiting:
            name, place = waiting.pop(0)
            for path in (folder / f"{name}.yaml" for folder in self.folders if name.split("/")[0] in _GROUPS):
                if path.is_file() and path not in found:
                    found[path] = ConfigFile(name, path, place)
                    waiting += [(other, path) for other in included(found[path])]
        return list(found.values())

    def described(self) -> dict[str, Any]:
        """The choices, with all ablations that are in force: those of an experiment and those of the command line."""
        names = [file.name.partition("/") for file in self.files()]
        return {**self.choices, "ablations": [name for group, _, name in names if group == "ablation"]}

    def variants(self, *parts: str) -> list[Any]:
        """Those sections as the method's own files say them: what one of them reads may be of no use to others."""
        method = self.choices.get("method", "")
        patterns = (f"method/{method}.yaml", f"ablation/{method}/*.yaml", f"experiment/{method}/*.yaml")
        paths = [path for folder in self.folders for pattern in patterns for path in sorted(folder.glob(pattern))]
        return [content(path).get(part) for path in paths for part in parts]

    def defined(self) -> frozenset[str]:
        """Dotted names of all values that the project's own files give, but for experiments and the like."""
        return _defined(self.folders[0])

    def passed_on(self) -> set[str]:
        """Names in `given` that stand for settings of the same name: `seed: ${seed}`."""
        given = content(self.folders[0] / "config.yaml")["given"]
        return {name for name, value in given.items() if value == f"${{{name}}}"}

    def appended(self) -> set[str]:
        """Groups that the command line alone brings in: `+sampler=top`."""
        matches = map(_ASSIGNED.match, (text for text in self.overrides if text.startswith("+")))
        return {match[1] for match in matches if match} & self.choices.keys()

    def check_methods(self) -> None:
        """Raise `InputError` where an experiment, an ablation or a sweep is one of another method than the chosen."""
        files = self.files()
        methods = self._methods(files)
        for file in files:
            owner, (group, _, name) = self._owner(file), file.name.partition("/")
            if owner is not None and owner not in methods:
                place = "" if file.included_by is None else f"{file.included_by}: "
                named, others = f"{place}{group}={name}", ", ".join(sorted(methods))
                raise InputError(
                    f"{named} is one of method={owner}, not of {others}: say method={owner}, or take another {group}."
                )

    def _methods(self, files: list[ConfigFile]) -> set[str]:
        """The method, or those that a sweep's command line may mean."""
        if "method" in self.choices:
            return {self.choices["method"]}
        named = [(file.included_by, method) for file in files if (method := chosen_method(file.path))]
        outer = {method for place, method in named if place is None}
        inner = {method for _, method in named}
        return set(self.typed("method")) or outer or inner or {_default(self.folders[0], "method")}

    def _owner(self, file: ConfigFile) -> str | None:
        """The method that a file says it is of, or whose folder it lies in."""
        group, *folder = file.name.split("/")[:-1]
        if group not in _OF_A_METHOD or not folder:
            return None
        of_method = any((place / "method" / f"{folder[0]}.yaml").is_file() for place in self.folders)
        return chosen_method(file.path) or (folder[0] if of_method else None)

    def check_ablations(self) -> None:
        """Raise `InputError` for an ablation on the command line of which those behind it leave nothing."""
        names = [f"ablation/{name}" for name in self.typed("ablation")]
        files = {file.name: file for file in self.files()}
        settled = {name: _settled(files[name], files) for name in names if name in files}
        for first, later in combinations(settled, 2):
            if settled[first] and settled[first] <= settled[later] and first not in included(files[later]):
                what, one, other = min(settled[first]), *(name.partition("/")[2] for name in (first, later))
                raise InputError(f"ablation={one} has no effect before {other}, which sets {what}, too: leave one out.")

    def check_backbone(self, config: Node) -> None:
        """Raise `InputError` where the method has no settings for the backbone; it names those that it has some for."""
        method, backbone = self.choices.get("method", ""), self.choices.get("backbone", "")
        tuned = {path.stem for folder in self.folders for path in (folder / "tuning" / method).glob("*.yaml")}
        if not tuned or backbone in tuned or ("tuning" in config and "network" in config.get("backbone", {})):
            return
        files = [path for folder in self.folders for path in (folder / "backbone").glob("*.yaml")]
        generic = {path.stem for path in files if _has_network(path)}
        fitting = sorted(tuned | (generic if "tuning" in config else set()))
        raise InputError(
            f"method={method} has no settings for backbone={backbone}: take one of {', '.join(fitting)}, or write "
            f"conf/tuning/{method}/{backbone}.yaml."
        )


@cache
def _defined(conf: Path) -> frozenset[str]:
    files = [(conf / "config.yaml", ""), *((path, path.parent.name) for path in conf.glob("*/*.yaml"))]
    return frozenset(key for path, group in files for key in setting_names(path, group))


def _default(conf: Path, group: str) -> str:
    """The file of a group that is chosen where nothing else is said."""
    defaults = content(conf / "config.yaml")["defaults"]
    return str(next(entry[group] for entry in defaults if isinstance(entry, dict) and group in entry))


def _settled(file: ConfigFile, files: dict[str, ConfigFile]) -> set[str]:
    """What an ablation sets and chooses, by itself or by those that it includes; entries of the card are no effect."""
    entries = (entry for entry in content(file.path).get("defaults", []) if isinstance(entry, dict))
    chosen = {key.removeprefix("override /") for entry in entries for key in entry if key.startswith("override /")}
    own = {key for key in setting_names(file.path, "ablation") if not key.startswith("card.")}
    return (own | chosen).union(*(_settled(files[name], files) for name in included(file) if name in files))


def _has_network(path: Path) -> bool:
    settings = content(path)
    parents = [path.with_name(f"{name}.yaml") for name in settings.get("defaults", []) if isinstance(name, str)]
    return "network" in settings or any(_has_network(parent) for parent in parents if parent.is_file())
