"""Every sentence with which a command ends when a file or a setting is at fault."""

import ast
from collections.abc import Iterator
from pathlib import Path

from pages import ROOT, Page

_PACKAGE = ROOT / "wsss_lightning"
GAP = "…"  # what the message says of the case at hand


def message_page() -> Page:
    """All of them by file, so that a search for a sentence finds it."""
    lines = [
        "# Every message",
        "",
        "A command that cannot do what it is asked for says so in one sentence and ends with status 1. These are all "
        f"of them, by the file of `wsss_lightning/` they come from; {GAP} is what a sentence says of the case at hand. "
        "[Troubleshooting](../troubleshooting.md) has those that are met most.",
    ]
    for path in sorted(_PACKAGE.rglob("*.py")):
        if found := sorted(set(messages(path))):
            name = path.relative_to(_PACKAGE).as_posix()
            lines += ["", f"## {name}", "", *(f"- {_escaped(text)}" for text in found)]
    return Page("reference/messages.md", "\n".join(lines))


def messages(path: Path) -> Iterator[str]:
    """Texts of the `InputError`s that a source file raises, but those that are wholly put together elsewhere."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "InputError" and node.args:
            text = written(node.args[0])
            if text.strip(f"{GAP}.: "):
                yield text


def written(node: ast.expr) -> str:
    """The text of an expression, with a gap for whatever is not written out in it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(map(written, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return written(node.left) + written(node.right)
    return GAP


def _escaped(text: str) -> str:
    for mark in "\\`*_{}[]<>#|":
        text = text.replace(mark, f"\\{mark}")
    return text
