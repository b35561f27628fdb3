"""params.yaml, strictly: unknown keys, wrong types and impossible values are reported together, by name."""

import difflib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from questions_gen.errors import UserError

PARAMS_FILE = Path("params.yaml")

Seed = Annotated[int, Field(ge=0, lt=2**31)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1)]
Told = dict[str, Any]
"""A section that a stage tells of, as in a card, and doesn't use; the stage that uses it says what it may hold."""


class Section(BaseModel):
    """A frozen section of params.yaml. Defaults live in the profiles (conf/), never in code."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ParamsError(UserError):
    """All that is wrong with a params file, one line each."""

    def __init__(self, path: Path, problems: list[str]):
        self.problems = problems
        lines = "\n".join(f"  {problem}" for problem in problems)
        count = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
        super().__init__(f"{path}: {count}; mend {path} and run again\n{lines}")


class Loader(yaml.SafeLoader):
    """YAML 1.2 floats (PyYAML reads 2e-5 as a string), and no silent double keys."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in pairs if tag != "tag:yaml.org,2002:float"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:\d+\.\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.(?:inf|Inf|INF|nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def _mapping(loader: Loader, node: yaml.MappingNode) -> dict:
    mapping = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in mapping:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def load_yaml(path: Path) -> dict:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; `questions-gen profile use smollm2-135m` writes it") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(path, [" ".join(str(error).split())]) from None
    if not isinstance(values, dict):
        raise ParamsError(path, ["expected sections (name: …), found something else"])
    return values


def parse_params(
    values: dict, sections: Mapping[str, Any], path: Path = PARAMS_FILE, *, whole: bool = False
) -> dict[str, Any]:
    """Check `sections` (name → Section class or type) of `values`; with `whole`, refuse sections nobody knows.

    Raises ParamsError with every problem of every section.
    """
    parsed, problems = {}, []
    for name in values if whole else ():
        if name not in sections:
            problems.append(f"{name}: unknown section{did_you_mean(name, sections)}")
    for name, kind in sections.items():
        if name not in values:
            problems.append(f"{name}: the section is missing")
            continue
        adapter = TypeAdapter(kind)
        try:
            parsed[name] = adapter.validate_json(_as_json(values[name]), strict=True)
        except ValidationError as error:
            problems += [_describe(name, kind, detail) for detail in error.errors()]
    if problems:
        raise ParamsError(path, problems)
    return parsed


def load_params(sections: Mapping[str, Any], path: Path = PARAMS_FILE, *, whole: bool = False) -> dict[str, Any]:
    return parse_params(load_yaml(path), sections, path, whole=whole)


def _as_json(value: Any) -> str:
    def plain(item: Any) -> Any:
        if isinstance(item, dict):
            return {str(key): plain(inner) for key, inner in item.items()}
        if isinstance(item, list):
            return [plain(inner) for inner in item]
        if isinstance(item, float) and not math.isfinite(item):
            return str(item)  # reported as a wrong type, by name
        return item if isinstance(item, str | int | float | bool | None) else str(item)

    return json.dumps(plain(value))


def _describe(section: str, kind: Any, detail: Any) -> str:
    loc = [part for part in detail["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
    key = ".".join([section, *map(str, loc)])
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown key{did_you_mean(loc[-1], _known_keys(kind, loc[:-1]))}"
    if detail["type"] == "missing":
        return f"{key}: missing"
    message = detail["msg"].removeprefix("Value error, ")
    shown = json.dumps(detail["input"], default=str, ensure_ascii=False)
    found = f" (found {shown})" if len(shown) <= 60 else ""
    return f"{key}: {message[0].lower()}{message[1:]}{found}"


def did_you_mean(word: Any, known: Any) -> str:
    near = difflib.get_close_matches(str(word), [str(k) for k in known], n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _known_keys(kind: Any, path: list) -> list[str]:
    """The field names of the model(s) that stand at `path` inside `kind`."""
    models = _models(kind)
    for part in path:
        if isinstance(part, str):
            inner = [m.model_fields[part].annotation for m in models if part in m.model_fields]
            models = [m for annotation in inner for m in _models(annotation)] or models
    return sorted({field.alias or name for m in models for name, field in m.model_fields.items()})


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [m for inner in get_args(annotation) for m in _models(inner)]
