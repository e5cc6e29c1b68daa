"""Strict typed configuration: YAML files and `a.b=c` overrides become pydantic models, and a typo is an error."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from tristream.errors import ConfigError


class StrictModel(BaseModel):
    """Base of every configuration and record: unknown keys are refused, values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for name, field in cls.model_fields.items():
                if isinstance(values.get(name), bool) and field.annotation in (int, float):
                    raise ValueError(f"{name}: expected a number, got {str(values[name]).lower()}")
        return values


class RecordedModel(BaseModel):
    """Base of what is read again from files of other releases: what they wrote beside it is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


M = TypeVar("M", bound=StrictModel)


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads `3e-4` as a string; this loader reads the number, and refuses a key that is there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            words = f"{', '.join(twice)}: stands twice"
            raise yaml.constructor.ConstructorError(problem=words, problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {key: list(rules) for key, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()}
for _first in "-+0123456789.":
    _Loader.yaml_implicit_resolvers.setdefault(_first, []).insert(
        0, ("tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"))
    )

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def parse_yaml(text: str, origin: str = "configuration") -> Any:
    """Parse YAML text; `${NAME}` and `${NAME:-default}` come from the environment. Raises ConfigError."""

    def expand(match: re.Match[str]) -> str:
        value = os.environ.get(match[1], match[2])
        if value is None:
            raise ConfigError(
                f"{origin}: environment variable {match[1]} is not set (write ${{{match[1]}:-default}} to allow that)"
            )
        return value

    lines = [line if line.lstrip().startswith("#") else _VARIABLE.sub(expand, line) for line in text.splitlines()]
    try:
        return yaml.load("\n".join(lines), Loader=_Loader)  # a SafeLoader: builds plain values only
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin}: not valid YAML: {error}") from None


def load_config(model: type[M], path: Path | Sequence[Path] | None, overrides: Sequence[str] = ()) -> M:
    """Read a YAML file, apply `a.b=c` overrides and validate. Raises ConfigError that names the file and the key.

    path: of several files, a later one is laid over those before: sections key by key, all else as a whole.
    """
    paths = [path] if isinstance(path, Path) else list(path or ())
    values: dict[str, Any] = {}
    for one in paths:
        if not one.is_file():
            raise ConfigError(f"{one}: no such configuration file")
        read = parse_yaml(one.read_text(encoding="utf-8"), str(one)) or {}
        if not isinstance(read, dict):
            raise ConfigError(f"{one}: expected a mapping of keys to values, found {type(read).__name__}")
        _lay_over(values, read)
    for override in overrides:
        _apply(values, override)
    changed = " with " + ", ".join(overrides) if overrides else ""
    return validate(model, values, (", ".join(map(str, paths)) or "configuration") + changed)


def validate(model: type[M], values: Mapping[str, Any], origin: str) -> M:
    """Build `model` from plain values. Raises ConfigError with one line per wrong key."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, e['loc'])) or '(top)'}: {_complaint(model, e)} (got {e['input']!r})"
            for e in error.errors()
        ]
        raise ConfigError(f"{origin} does not fit {model.__name__}:\n" + "\n".join(lines)) from None


def _complaint(model: type[StrictModel], error: ErrorDetails) -> str:
    if error["type"] != "extra_forbidden":
        return error["msg"]
    *parents, key = map(str, error["loc"])
    near = [] if parents else get_close_matches(key, model.model_fields, n=1)
    return f"no such key; did you mean '{near[0]}'?" if near else "no such key"


def _lay_over(values: dict[str, Any], later: Mapping[str, Any]) -> None:
    for key, value in later.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _lay_over(values[key], value)
        else:
            values[key] = value


def _apply(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"override '{override}': expected key.subkey=value")
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"override '{override}': '{parent}' is a value, not a section")
    values[last] = parse_yaml(text, f"override '{key}'")
