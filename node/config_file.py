"""Reading ``config.yaml``: every complaint names the file, the line, the key and what to do."""

import difflib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from node.config import Config
from node.errors import ConfigError

KeyPath = tuple[str | int, ...]

_REFERENCE = re.compile(r"^\$\{(env|file):([^}]+)\}$")


def load_config(path: Path) -> Config:
    """Read and validate a configuration file. Relative paths become relative to the file's folder.

    Raises
    ------
    ConfigError
        One line per complaint: ``config.yaml:12: receiver.prot: unknown key; did you mean 'port'?``.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; start from the config.yaml that comes with Osteon") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return _resolve_paths(parse_config(text, name=str(path)), path.resolve().parent)


def parse_config(text: str, name: str = "config.yaml") -> Config:
    """Validate the text of a configuration file.

    Raises
    ------
    ConfigError
        As in :func:`load_config`.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark is not None else 1
        raise ConfigError(f"{name}:{line}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not valid YAML: {error}") from error
    if root is None:
        return Config()
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{name}:1: the file must hold keys and values, such as 'receiver:'")
    lines = dict(_lines(root, ()))
    doubles = list(_double_keys(root, ()))
    if doubles:
        raise ConfigError("\n".join(f"{name}:{line}: {_dotted(key)}: the key stands here a second time" for key, line in doubles))
    data = _dereference(yaml.safe_load(text), (), lines, name)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(_complaint(detail, lines, name) for detail in error.errors())) from None


def _lines(node: yaml.Node, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    """The line (from 1) on which each key path begins."""
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, key.value)
            yield from _lines(value, here)
            yield here, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*path, index))


def _double_keys(node: yaml.Node, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    """Keys given twice in one mapping: YAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield (*path, key.value), key.start_mark.line + 1
            seen.add(key.value)
            yield from _double_keys(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _double_keys(value, (*path, index))


def _dereference(value: Any, path: KeyPath, lines: dict[KeyPath, int], name: str) -> Any:
    """Replace ``${env:NAME}`` and ``${file:PATH}``, so that no secret need stand in the file."""
    if isinstance(value, dict):
        return {key: _dereference(item, (*path, key), lines, name) for key, item in value.items()}
    if isinstance(value, list):
        return [_dereference(item, (*path, index), lines, name) for index, item in enumerate(value)]
    found = _REFERENCE.match(value) if isinstance(value, str) else None
    if found is None:
        return value
    kind, target = found.groups()
    where = f"{name}:{lines.get(path, 1)}: {_dotted(path)}"
    if kind == "env":
        if target not in os.environ:
            raise ConfigError(f"{where}: the environment variable {target} is not set")
        return os.environ[target]
    try:
        return Path(target).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: {target} cannot be read: {error}") from error


def _complaint(detail: ErrorDetails, lines: dict[KeyPath, int], name: str) -> str:
    path: KeyPath = tuple(detail.get("ctx", {}).get("path", detail["loc"]))
    if detail["type"] == "extra_forbidden":
        known = _known_keys(path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        text = f"unknown key; did you mean {near[0]!r}?" if near else f"unknown key; known here: {', '.join(known)}"
    elif detail["type"] == "missing":
        text = "this key is required"
    else:
        text = detail["msg"].removeprefix("Value error, ")
        if not isinstance(detail["input"], dict | list | BaseModel) and path[-1:] != ("ledger",):  # a URL may hold a password
            text += f" (it is {detail['input']!r})"
    return f"{name}:{_line_of(path, lines)}: {_dotted(path) or 'the file'}: {text}"


def _line_of(path: KeyPath, lines: dict[KeyPath, int]) -> int:
    """The line of the longest part of the path that stands in the file."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _known_keys(path: KeyPath) -> list[str]:
    """The keys that the section at this path may hold."""
    model: Any = Config
    for step in path:
        if isinstance(step, str) and isinstance(model, type) and issubclass(model, BaseModel) and step in model.model_fields:
            model = _section_in(model.model_fields[step].annotation)
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _section_in(annotation: Any) -> Any:
    """The pydantic model inside ``tuple[Model, ...]``, ``Model | None`` or ``Model``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _section_in(argument)) is not None), None)


def _dotted(path: KeyPath) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def _resolve_paths(config: Config, folder: Path) -> Config:
    storage = config.storage
    ledger = storage.ledger.get_secret_value()
    prefix = "sqlite:///"
    if ledger.startswith(prefix) and not ledger.startswith("sqlite:////"):
        ledger = prefix + str(folder / ledger.removeprefix(prefix))
    resolved = storage.model_copy(
        update={"spool": folder / storage.spool, "results": folder / storage.results, "ledger": type(storage.ledger)(ledger)}
    )
    bundles = config.bundles.model_copy(update={"folder": folder / config.bundles.folder})
    ct = config.workflows.ct
    masks = ct.masks.model_copy(update={"path": _in(folder, ct.masks.path)})
    totalsegmentator = ct.totalsegmentator.model_copy(update={"weights": _in(folder, ct.totalsegmentator.weights)})
    ct = ct.model_copy(update={"masks": masks, "totalsegmentator": totalsegmentator})
    cxr = config.workflows.cxr
    reference = cxr.reference.model_copy(update={"table": _in(folder, cxr.reference.table)})
    workflows = config.workflows.model_copy(update={"ct": ct, "cxr": cxr.model_copy(update={"reference": reference})})
    return config.model_copy(update={"storage": resolved, "bundles": bundles, "workflows": workflows})


def _in(folder: Path, path: Path | None) -> Path | None:
    return None if path is None else folder / path


def find_config() -> Path:
    """The configuration file where none was named: ``./config.yaml``, else the one that Osteon ships.

    Raises
    ------
    ConfigError
        There is neither.
    """
    shipped = (Path(__file__).resolve().parent.parent / "config.yaml", Path(sys.prefix) / "share" / "osteon" / "config.yaml")
    for path in (Path("config.yaml"), *shipped):
        if path.is_file():
            return path
    raise ConfigError("there is no config.yaml here; name one with --config")
