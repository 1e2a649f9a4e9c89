"""Splits by patient that cannot leak: who may be one person is never in two parts, and a saved split knows the manifest it belongs to.

How patients are dealt out stands in :mod:`training.data.dealing`; who must stay together in :mod:`training.data.grouping`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from training.data.content import Content
from training.data.dealing import EXTERNAL, TEST, TRAIN, VALIDATION, SplitOptions, deal, deal_more
from training.data.grouping import Group, group_rows, patient_name
from training.data.rows import Manifest, ManifestRow
from training.errors import TrainingError

__all__ = [
    "EXTERNAL",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Fold",
    "Split",
    "SplitOptions",
    "extend_split",
    "given_split",
    "make_split",
]


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One turn of a cross-validation."""

    number: int
    train: tuple[ManifestRow, ...]
    validation: tuple[ManifestRow, ...]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Who is in which part.

    Attributes
    ----------
    parts
        Part of each patient, by :func:`~training.data.grouping.patient_name`. A patient has one part: nothing else can be said here.
    linked
        Groups of several names that were kept together.
    manifest_sha256
        :attr:`Manifest.sha256 <training.data.rows.Manifest.sha256>` of what was split.
    """

    options: SplitOptions
    parts: Mapping[str, str]
    linked: tuple[tuple[str, ...], ...]
    manifest_sha256: str

    def part_of(self, row: ManifestRow) -> str:
        """The part that a row belongs to.

        Raises
        ------
        TrainingError
            The split does not know the patient.
        """
        name = patient_name(row, ids_per_site=self.options.ids_per_site)
        if name not in self.parts:
            raise TrainingError(f"the split does not know patient {name!r}; extend it, or make a new one")
        return self.parts[name]

    def rows(self, manifest: Manifest, *parts: str) -> tuple[ManifestRow, ...]:
        """The used rows of one or several parts.

        Raises
        ------
        TrainingError
            There is no such part, or a patient is unknown.
        """
        unknown = [part for part in parts if part not in self.names]
        if unknown:
            raise TrainingError(f"the split has no part {', '.join(unknown)}; it has {', '.join(self.names)}")
        return tuple(row for row in manifest.used if self.part_of(row) in parts)

    def folds(self, manifest: Manifest) -> Iterator[Fold]:
        """Each fold as the validation part once, the others as the training part.

        Raises
        ------
        TrainingError
            The split has no folds.
        """
        names = [name for name in self.names if name.startswith("fold-")]
        if not names:
            raise TrainingError("the split has no folds; make it with folds=5")
        for number, name in enumerate(names, start=1):
            others = [other for other in names if other != name]
            yield Fold(number=number, train=self.rows(manifest, *others), validation=self.rows(manifest, name))

    @property
    def names(self) -> tuple[str, ...]:
        """The parts, in the order of the options; ``external`` last. Parts to which nobody fell are among them."""
        wanted = (
            *(self.options.fractions if self.options.method != "given" else ()),
            *((EXTERNAL,) if self.options.hold_out_sites else ()),
        )
        return tuple(dict.fromkeys((*wanted, *sorted(set(self.parts.values())))))


def make_split(manifest: Manifest, options: SplitOptions | None = None, *, content: Content | None = None) -> Split:
    """Deal the patients of a manifest out.

    Parameters
    ----------
    content
        Hashes of the images (:func:`training.data.content.content_of`): the same pixels under two IDs are then kept together.

    Raises
    ------
    TrainingError
        No rows; an unknown site to hold out; a patient both at a held-out site and at another.
    """
    chosen = options if options is not None else SplitOptions()
    if chosen.method == "given":
        return given_split(manifest, content=content)
    groups = group_rows(manifest, content, ids_per_site=chosen.ids_per_site)
    if not groups:
        raise TrainingError("the manifest has no row that is used: there is nothing to split")
    held_out, dealt = _hold_out(groups, chosen)
    parts = {patient: EXTERNAL for group in held_out for patient in group.patients}
    for group, part in deal(dealt, chosen):
        parts |= dict.fromkeys(group.patients, part)
    return Split(options=chosen, parts=parts, linked=_linked(groups), manifest_sha256=manifest.sha256)


def extend_split(split: Split, manifest: Manifest, *, content: Content | None = None) -> Split:
    """The same split for a manifest that has grown or lost patients: nobody moves, the new go where their class is short.

    Raises
    ------
    TrainingError
        Two patients in different parts turn out to be one (the manifest or ``content`` links them), or a held-out site's patient was
        dealt to another part.
    """
    options = split.options
    if options.method == "given":
        return given_split(manifest, content=content)
    groups = group_rows(manifest, content, ids_per_site=options.ids_per_site)
    held_out, _ = _hold_out(groups, options)
    external = {group.patients for group in held_out}
    parts: dict[str, str] = {}
    new: list[Group] = []
    placed: list[Group] = []
    for group in groups:
        known = {split.parts[patient] for patient in group.patients if patient in split.parts}
        wanted = {EXTERNAL} if group.patients in external else known
        if len(known | wanted) > 1:
            said = f"patients {', '.join(map(repr, group.patients))} are linked, but were dealt to {', '.join(sorted(known | wanted))}"
            raise TrainingError(f"{said}: results of this split are not clean; make a new one")
        if wanted:
            parts |= dict.fromkeys(group.patients, next(iter(known | wanted)))
            placed.append(group)
        else:
            new.append(group)
    for group, part in deal_more(new, placed, parts, options):
        parts |= dict.fromkeys(group.patients, part)
    linked = tuple(dict.fromkeys((*_linked(groups), *split.linked)))
    return replace(split, parts=parts, linked=linked, manifest_sha256=manifest.sha256)


def given_split(manifest: Manifest, *, content: Content | None = None) -> Split:
    """The split that the manifest's own column ``split`` states.

    Raises
    ------
    TrainingError
        A row without a part, or linked patients in two parts.
    """
    parts: dict[str, str] = {}
    groups = group_rows(manifest, content)
    for group in groups:
        stated = {row.split for row in group.rows if row.split is not None}
        if not stated or any(row.split is None for row in group.rows):
            raise TrainingError(f"patient {group.patients[0]!r} has a row without a part in the column 'split'")
        if len(stated) > 1:
            said = f"patients {', '.join(map(repr, group.patients))} are one or linked"
            raise TrainingError(f"{said}, but the column 'split' puts them in {', '.join(sorted(stated))}")
        parts |= dict.fromkeys(group.patients, *stated)
    options = SplitOptions(test=0.0, validation=0.0, method="given")
    return Split(options=options, parts=parts, linked=_linked(groups), manifest_sha256=manifest.sha256)


def _linked(groups: Sequence[Group]) -> tuple[tuple[str, ...], ...]:
    return tuple(group.patients for group in groups if len(group.patients) > 1)


def _hold_out(groups: Sequence[Group], options: SplitOptions) -> tuple[list[Group], list[Group]]:
    """The groups of held-out sites, and the others."""
    sites = set(options.hold_out_sites)
    known = {site for group in groups for site in group.sites}
    if sites - known:
        listed = ", ".join(sorted(site for site in known if site is not None)) or "none"
        raise TrainingError(f"no patient is from site {', '.join(sorted(sites - known))}; the sites are: {listed}")
    held_out = [group for group in groups if group.sites & sites]
    for group in held_out:
        if group.sites - sites:
            said = (
                f"patient {group.patients[0]!r} is at a held-out site and at {', '.join(map(str, sorted(map(str, group.sites - sites))))}"
            )
            raise TrainingError(f"{said}; exclude the rows, or state ids_per_site where each site numbers its own patients")
    return held_out, [group for group in groups if not group.sites & sites]
