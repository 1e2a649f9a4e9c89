"""Which rows must stay together: one patient, by ID, by study, by file, by the pixels themselves."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from training.data.checks import patient_key
from training.data.labels import BoneLabel, worst_label
from training.data.rows import Manifest, ManifestRow
from training.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class Group:
    """Patients who may be one: they share a part of the split, always.

    ``patients`` are sorted names as :func:`patient_name` gives them.
    """

    patients: tuple[str, ...]
    rows: tuple[ManifestRow, ...]

    @cached_property
    def label(self) -> BoneLabel | None:
        """The worst class of any row; None where none is known."""
        return worst_label(row.label for row in self.rows)

    @cached_property
    def sites(self) -> frozenset[str | None]:
        """Sites of the rows; None for a row that names none."""
        return frozenset(row.site for row in self.rows)

    def stratum(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The group's place in a split that is balanced by these properties (``label``, ``site``, ``device``, ``sex``, ``modality``)."""
        return tuple(self._property(name) for name in names)

    def _property(self, name: str) -> str:
        if name == "label":
            return self.label.value if self.label is not None else "unlabelled"
        values = {getattr(row, name) for row in self.rows}
        return "+".join(sorted(str(value) if value is not None else "unknown" for value in values))


def patient_name(row: ManifestRow, *, ids_per_site: bool = False) -> str:
    """The patient's name in a split: the ID, behind its site where each site numbers its own patients.

    Raises
    ------
    TrainingError
        ``ids_per_site`` without a site.
    """
    if not ids_per_site:
        return row.patient_id
    if row.site is None:
        raise TrainingError(f"patient {row.patient_id!r} has no site; with ids_per_site every row needs one")
    return f"{row.site}/{row.patient_id}"


def group_rows(
    manifest: Manifest, content: Mapping[Path, frozenset[str]] | None = None, *, ids_per_site: bool = False
) -> tuple[Group, ...]:
    """Join rows that share a patient ID (case, punctuation and leading zeros apart), a study, a series, a file, or (where ``content``
    is given, see :func:`training.data.content.content_of`) an image. Joining is transitive.

    Returns
    -------
    tuple of Group
        Sorted by their patients. Every used row is in exactly one.
    """
    names = [patient_name(row, ids_per_site=ids_per_site) for row in manifest.used]
    parents = list(range(len(names)))
    first: dict[Hashable, int] = {}
    for index, row in enumerate(manifest.used):
        for key in _keys(row, row.site if ids_per_site else None, content or {}):
            _join(parents, index, first.setdefault(key, index))
    members: dict[int, list[int]] = defaultdict(list)
    for index in range(len(names)):
        members[_root(parents, index)].append(index)
    groups = (
        Group(patients=tuple(sorted({names[index] for index in found})), rows=tuple(manifest.used[index] for index in found))
        for found in members.values()
    )
    return tuple(sorted(groups, key=lambda group: group.patients))


def _keys(row: ManifestRow, site: str | None, content: Mapping[Path, frozenset[str]]) -> Iterator[Hashable]:
    """What a row shares with the others of its group. ``site`` where IDs mean nothing outside it."""
    yield ("patient", site, patient_key(row.patient_id))
    for kind, value in (("study", row.study_uid), ("series", row.series_uid), ("file", row.path)):
        if value is not None:
            yield (kind, value)
    if row.path is not None:
        for digest in content.get(row.path, ()):
            yield ("image", digest)


def _root(parents: list[int], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index


def _join(parents: list[int], one: int, other: int) -> None:
    parents[max(_root(parents, one), _root(parents, other))] = min(_root(parents, one), _root(parents, other))
