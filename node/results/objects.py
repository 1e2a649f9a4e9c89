"""What a written result is, as plain data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ResultKind = Literal["seg", "sr", "text", "picture"]


@dataclass(frozen=True, kw_only=True)
class ResultObject:
    """One DICOM object on disk, ready to be delivered."""

    kind: ResultKind
    sop_class_uid: str
    sop_instance_uid: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class ResultContext:
    """What every result object says of how it was made.

    Attributes
    ----------
    software_version
        Version of the distribution ``osteon``.
    config_sha256
        Hash of the routes and workflow parameters (:attr:`node.config.Config.sha256`).
    """

    software_version: str
    config_sha256: str


@dataclass(frozen=True, kw_only=True)
class WrittenResults:
    """What was written for one study. ``picture_png`` is the page of the object of kind ``picture``, for people without a viewer."""

    objects: tuple[ResultObject, ...]
    picture_png: Path | None
