"""A split on disk: JSON that says who is in which part, and of which manifest."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.data.content import Content
from training.data.dealing import SplitOptions
from training.data.files import replace_file
from training.data.grouping import group_rows
from training.data.rows import Manifest
from training.data.splits import Split, extend_split, make_split
from training.errors import TrainingError

_SHOWN = 5


class SplitFile(BaseModel):
    """What stands in the file. ``patients`` counts labels by part, for a person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["osteon-split/1"] = "osteon-split/1"
    manifest_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    options: SplitOptions
    patients: dict[str, dict[str, int]]
    linked: tuple[tuple[str, ...], ...]
    parts: dict[str, str]


def count_patients(split: Split, manifest: Manifest) -> dict[str, dict[str, int]]:
    """Patients by part and label; linked patients count as one. Every part is there, also one to which nobody fell."""
    counts: dict[str, Counter[str]] = {part: Counter() for part in split.names}
    for group in group_rows(manifest, ids_per_site=split.options.ids_per_site):
        label = group.label.value if group.label is not None else "unlabelled"
        counts[split.parts[group.patients[0]]][label] += 1
    return {part: dict(sorted(found.items())) for part, found in counts.items()}


def save_split(split: Split, manifest: Manifest, path: Path) -> None:
    """Write a split. The same split gives the same bytes.

    Raises
    ------
    TrainingError
        The split is not this manifest's, or the file cannot be written.
    """
    if split.manifest_sha256 != manifest.sha256:
        raise TrainingError("the split was made of another manifest; extend it first")
    content = SplitFile(
        manifest_sha256=split.manifest_sha256,
        options=split.options,
        patients=count_patients(split, manifest),
        linked=split.linked,
        parts=dict(sorted(split.parts.items())),
    )
    try:
        replace_file(path, (json.dumps(content.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written: {error.strerror or error}") from None


def load_split(path: Path, manifest: Manifest, *, extend: bool = False, content: Content | None = None) -> Split:
    """Read a split and make sure that it is this manifest's.

    Parameters
    ----------
    extend
        Where the manifest has changed: keep every patient's part and deal out the new ones, instead of an error.

    Raises
    ------
    TrainingError
        The file is absent or damaged; the manifest has changed (and how); linked patients stand in two parts.
    """
    try:
        read = SplitFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise TrainingError(f"{path}: {place}: {first['msg']}; this is not a whole split file") from None
    split = Split(options=read.options, parts=read.parts, linked=read.linked, manifest_sha256=read.manifest_sha256)
    if split.manifest_sha256 != manifest.sha256 and not extend:
        raise TrainingError(
            f"{path}: the manifest is not the one that was split: {_difference(split, manifest)}; extend the split, or make a new one"
        )
    found = extend_split(split, manifest, content=content)  # judges the links, too
    if not extend and found.parts != split.parts:
        raise TrainingError(f"{path}: the parts do not cover the manifest's patients: {_difference(split, manifest)}")
    return found if extend else split


def load_or_make_split(path: Path, manifest: Manifest, options: SplitOptions, *, content: Content | None = None) -> Split:
    """The split at ``path``, or a new one that is saved there.

    Raises
    ------
    TrainingError
        As :func:`load_split`, or the saved split was made with other options.
    """
    if not path.exists():
        split = make_split(manifest, options, content=content)
        save_split(split, manifest, path)
        return split
    split = load_split(path, manifest, content=content)
    if split.options != options:
        raise TrainingError(f"{path}: this split was made with other options ({split.options}); choose another file for a new one")
    return split


def _difference(split: Split, manifest: Manifest) -> str:
    """How the patients of a manifest differ from those of a split, in words."""
    groups = group_rows(manifest, ids_per_site=split.options.ids_per_site)
    now = {patient for group in groups for patient in group.patients}
    new, gone = sorted(now - set(split.parts)), sorted(set(split.parts) - now)
    said = [f"{len(names)} patients {verb} ({', '.join(names[:_SHOWN])}{' ...' if len(names) > _SHOWN else ''})"
            for names, verb in ((new, "are new"), (gone, "are gone")) if names]  # fmt: skip
    return " and ".join(said) or "the patients are the same, but their rows have changed"
