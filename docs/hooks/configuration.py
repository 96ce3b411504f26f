"""The reference of conf/: each file of each config group, its settings, and the comments that stand beside them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from pages import ROOT, Page

_CONF = ROOT / "conf"
_PACKAGE = re.compile(r"^# @package (\S+)\n", re.MULTILINE)
_SPELLED_OUT = {
    "defaults",
    "stages",
    "given",
    "card",
    "hydra",
}  # read better in the file, below the table


@dataclass(frozen=True)
class Setting:
    """`name` as on the command line, its value as the file has it, and its comment."""

    name: str
    value: str
    comment: str


def configuration_pages() -> list[Page]:
    """`config.yaml`, and a page for every group."""
    groups = sorted(path for path in _CONF.iterdir() if path.is_dir() and any(path.rglob("*.yaml")))
    return [Page("reference/config/index.md", _first_page()), *(_group_page(group) for group in groups)]


def _first_page() -> str:
    rows = [f"| [`{name}`]({name}.md) | `{value}` | {comment} |" for name, value, comment in _groups()]
    return "\n".join(
        [
            "# Configuration",
            "",
            "Everything is set on the command line of `wsss run`, `plan` and `table`: `GROUP=FILE` chooses a file of a "
            "group, `NAME=VALUE` one setting. These pages are made from the files of `conf/`; `wsss list` names what "
            "there is, `wsss plan --show STAGE` prints what a stage is called with.",
            "",
            "| group | default | |",
            "|---|---|---|",
            *rows,
            "",
            "Settings of no group:",
            "",
            *_described(_CONF / "config.yaml", prefix=""),
        ]
    )


def _groups() -> Iterator[tuple[str, str, str]]:
    """Name, file and comment of every group in the defaults list."""
    text = (_CONF / "config.yaml").read_text(encoding="utf-8")
    for line in text.partition("defaults:")[2].splitlines():
        if found := re.match(r"  - (?:optional )?(\w+): ([^#]*?) *(?:# (.*))?$", line):
            yield found[1], found[2], found[3] or ""


def _group_page(group: Path) -> Page:
    lines = [f"# {group.name}", "", f"Files of `conf/{group.name}/`.", ""]
    for path in sorted(group.rglob("*.yaml")):
        name = path.relative_to(group).with_suffix("").as_posix()
        lines += [f"## {name}", "", *_described(path, prefix=_prefix(path)), ""]
    return Page(f"reference/config/{group.name}.md", "\n".join(lines))


def _prefix(path: Path) -> str:
    """What stands before a setting on the command line."""
    package = _PACKAGE.search(path.read_text(encoding="utf-8"))
    if package is None:
        return ".".join(path.parent.relative_to(_CONF).parts) + "."
    return "" if package[1] == "_global_" else f"{package[1]}."


def _described(path: Path, *, prefix: str) -> list[str]:
    text = path.read_text(encoding="utf-8")
    shown = path.relative_to(ROOT).as_posix()
    body = [f"    {line}".rstrip() for line in ["```yaml", *text.splitlines(), "```"]]
    return [introduction(text), "", *_table(settings(text), prefix), "", f'??? note "{shown}"', "", *body]


def introduction(text: str) -> str:
    """The comment at a file's head."""
    lines = []
    for line in _PACKAGE.sub("", text).splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return _as_markdown(" ".join(lines))


def _table(found: list[Setting], prefix: str) -> list[str]:
    rows = [
        f"| `{prefix}{each.name}` | {_value(each.value)} | {_as_markdown(each.comment)} |"
        for each in found
        if each.name.partition(".")[0] not in _SPELLED_OUT and not each.name.endswith("_partial_")
    ]
    return ["| setting | default | |", "|---|---|---|", *rows] if rows else []


def _value(text: str) -> str:
    if re.fullmatch(r"wsss_lightning(\.\w+)+", text):
        return f"[`{text}`][{text}]"
    return f"`{text}`".replace("|", "\\|") if text else ""


def _as_markdown(text: str) -> str:
    """A comment as prose: nothing in it is mark-up but what stands in backticks."""
    parts = text.replace("|", "\\|").split("`")
    parts[::2] = [re.sub(r"([<\[*_\]])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def settings(text: str) -> list[Setting]:
    """Every setting of a YAML file, with the comment behind it or, on lines of its own, above it."""
    root = yaml.compose(text)
    return list(_settings(root, text.splitlines(), "")) if isinstance(root, yaml.MappingNode) else []


def _settings(node: yaml.MappingNode, lines: list[str], above: str) -> Iterator[Setting]:
    for key, value in node.value:
        name = f"{above}{key.value}"
        if isinstance(value, yaml.MappingNode) and not value.flow_style and value.value:
            yield from _below(name, key, value, lines)
        else:
            yield Setting(name, _written(value), _comment(key.start_mark.line, value, lines))


def _below(name: str, key: yaml.Node, value: yaml.MappingNode, lines: list[str]) -> Iterator[Setting]:
    line = key.start_mark.line
    if comment := _join(_above(lines, line), _behind(lines[line], key.end_mark.column)):
        yield Setting(name, "", comment)
    yield from _settings(value, lines, f"{name}.")


def _written(value: yaml.Node) -> str:
    text = value.start_mark.buffer[value.start_mark.pointer : value.end_mark.pointer].rstrip("\0")
    if isinstance(value, yaml.ScalarNode):
        return text
    bare = [re.sub(r"\s+#\s.*", "", line).strip() for line in text.splitlines()]
    return " ".join(line for line in bare if line and not line.startswith("#"))


def _comment(line: int, value: yaml.Node, lines: list[str]) -> str:
    last = value.end_mark
    behind = _behind(lines[last.line], last.column) if last.line < len(lines) and last.column else ""
    return _join(_above(lines, line), behind)


def _behind(line: str, column: int) -> str:
    found = re.match(r":?\s+#\s?(.*)", line[column:])
    return found[1].strip() if found else ""


def _above(lines: list[str], number: int) -> str:
    """The comment that fills the lines directly above; at the head of a file it is the file's."""
    first = number
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    if first == 0:
        return ""
    return " ".join(line.strip().removeprefix("#").strip() for line in lines[first:number])


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
