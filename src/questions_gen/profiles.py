"""The profiles in conf/: files of values that make params.yaml, and changing single values in their text.

A change is made in the text, at the place where YAML says that the value stands, so that comments stay.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from questions_gen.errors import UserError
from questions_gen.params import Loader as Loader
from questions_gen.params import did_you_mean as did_you_mean

PROFILES = Path("conf")


def profiles(folder: Path = PROFILES) -> dict[str, Path]:
    """Name → file, sorted. Raises UserError outside of a checkout."""
    found = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if not found:
        raise UserError(f"{folder}: no profiles there; run this in the folder of a Questions-Gen checkout")
    return found


def find_profile(name: str, folder: Path = PROFILES) -> Path:
    known = profiles(folder)
    if name not in known:
        hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
        raise UserError(f"{name}: no such profile{hint}")
    return known[name]


def summary(text: str) -> str:
    """What a profile's first comment says, up to its first stop."""
    comment = " ".join(line.lstrip("# ") for line in text.partition("\n\n")[0].splitlines() if line.startswith("#"))
    return comment.partition(": ")[2].partition(". ")[0].rstrip(".")


def values_of(text: str) -> Any:
    return yaml.load(text, Loader)  # noqa: S506 (a SafeLoader)


def set_value(text: str, change: str) -> str:
    """Apply `key=value` to the text of a params file: a dotted key that stands there, a value read as YAML.

    Raises UserError for an unknown key and for a value that isn't YAML.
    """
    key, equals, written = change.partition("=")
    if not equals:
        raise UserError(f"{change}: expected key=value, for example sft.steps=20")
    try:
        value = values_of(written)
    except yaml.YAMLError as error:
        raise UserError(f"{key}: the value {written!r} isn't YAML: {' '.join(str(error).split())}") from None
    path = key.split(".")
    start, end = _span(yaml.compose(text, Loader), path, key)
    expected = _with(values_of(text), path, value)
    for form in (written.strip(), json.dumps(value, ensure_ascii=False, default=str)):
        edited = text[:start] + form + text[end:]
        if _reads_as(edited, expected):
            return edited
    raise UserError(f"{key}: {written!r} can't be written there; edit the file by hand")


def _span(node: yaml.Node, path: list[str], key: str) -> tuple[int, int]:
    """Where the value at `path` starts and ends in the text."""
    root = node
    for part in path:
        children = dict(_children(node))
        if part not in children:
            raise UserError(f"{key}: unknown key{did_you_mean(key, _keys(root))}")
        node = children[part]
    return node.start_mark.index, _end(node)


def _children(node: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from ((name.value, value) for name, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        yield from ((str(number), value) for number, value in enumerate(node.value))


def _keys(node: yaml.Node, prefix: str = "") -> Iterator[str]:
    for name, child in _children(node):
        yield prefix + name
        yield from _keys(child, f"{prefix}{name}.")


def _end(node: yaml.Node) -> int:
    """PyYAML ends a block at the next token, comments included: ours ends with its last value."""
    children = [child for _, child in _children(node)]
    return node.end_mark.index if not children or node.flow_style else _end(children[-1])


def _with(values: Any, path: list[str], value: Any) -> Any:
    values = copy.deepcopy(values)
    inner = values
    for part in path[:-1]:
        inner = inner[int(part) if isinstance(inner, list) else part]
    inner[int(path[-1]) if isinstance(inner, list) else path[-1]] = value
    return values


def _reads_as(text: str, expected: Any) -> bool:
    try:
        return repr(values_of(text)) == repr(expected)  # not ==: 1, 1.0 and true are equal
    except yaml.YAMLError:
        return False
