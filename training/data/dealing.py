"""Dealing patients out: the wanted shares, and who falls where, decided by a hash of seed and patient.

Two ways, neither of which looks at the order of the file:

``ranked`` (default)
    Within each stratum patients are ordered by their hash and cut at the wanted fractions: each part holds its share of every class to
    within one patient. A patient who is added later may move others near a cut; :func:`training.data.splits.extend_split` therefore
    keeps what was assigned.
``hashed``
    Each patient's hash alone decides. No patient ever moves, whoever is added or removed and without any file, but shares and classes
    hold on average only.
"""

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.data.grouping import Group

TRAIN = "train"
VALIDATION = "validation"
TEST = "test"
EXTERNAL = "external"

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Stratum = Literal["label", "site", "device", "sex", "modality"]


class SplitOptions(BaseModel):
    """How patients are dealt out.

    Attributes
    ----------
    test, validation
        Fractions of the patients (0.2 and 0.1 unless stated); the rest is the training part.
    folds
        Where given, what is not ``test`` is dealt into this many folds (``fold-1`` ...), each of which validates once.
    stratify
        Properties whose shares every part keeps (a group's label is its worst).
    hold_out_sites
        Sites that are nobody's training data: their patients are the part ``external``.
    method
        ``ranked``, ``hashed`` (see above), or ``given`` for a split that the manifest's own column states.
    ids_per_site
        Each site numbers its own patients, so that equal IDs of two sites are two patients. Otherwise they are taken as one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    test: Fraction = 0.2
    validation: Fraction | None = None
    folds: Annotated[int, Field(ge=2)] | None = None
    stratify: tuple[Stratum, ...] = ("label",)
    hold_out_sites: tuple[str, ...] = ()
    method: Literal["ranked", "hashed", "given"] = "ranked"
    ids_per_site: bool = False

    @model_validator(mode="after")
    def _leaves_something(self) -> "SplitOptions":
        if self.folds is None and self.test + self.validation_share >= 1.0:
            raise ValueError("test and validation leave nothing to train on")
        if self.folds is not None and self.validation is not None:
            raise ValueError("with folds each fold is the validation part once; leave validation out")
        return self

    @property
    def validation_share(self) -> float:
        """The fraction of the validation part where there are no folds: 0.1 unless stated."""
        return self.validation if self.validation is not None else 0.1

    @property
    def fractions(self) -> dict[str, float]:
        """Wanted share of each part, in the order in which patients are dealt; parts without a share are left out."""
        if self.folds is None:
            wanted = {TRAIN: 1.0 - self.test - self.validation_share, VALIDATION: self.validation_share, TEST: self.test}
        else:
            wanted = {f"fold-{number}": (1.0 - self.test) / self.folds for number in range(1, self.folds + 1)} | {TEST: self.test}
        return {part: share for part, share in wanted.items() if share > 0.0}


def _order(group: Group, seed: int) -> int:
    """A number that looks random and depends on seed and patient alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{group.patients[0]}".encode()).digest()[:8])


def deal(groups: Sequence[Group], options: SplitOptions) -> Iterator[tuple[Group, str]]:
    """Each group with its part."""
    shares = options.fractions
    if options.method == "hashed":
        yield from ((group, _by_hash(group, options)) for group in groups)
        return
    strata = _strata(groups, options)
    tables = allocate([len(members) for members in strata], list(shares.values()))
    for members, counts in zip(strata, tables, strict=True):
        parts = itertools.chain.from_iterable([part] * count for part, count in zip(shares, counts, strict=True))
        yield from zip(members, parts, strict=True)


def _strata(groups: Sequence[Group], options: SplitOptions) -> list[list[Group]]:
    """Groups by stratum, each ordered by hash."""
    found: dict[tuple[str, ...], list[Group]] = defaultdict(list)
    for group in groups:
        found[group.stratum(options.stratify)].append(group)
    return [sorted(found[key], key=lambda group: (_order(group, options.seed), group.patients)) for key in sorted(found)]


def _by_hash(group: Group, options: SplitOptions) -> str:
    place = _order(group, options.seed) / 2**64
    parts, edges = list(options.fractions), list(itertools.accumulate(options.fractions.values()))
    return next((part for part, edge in zip(parts, edges, strict=True) if place < edge), parts[-1])


def allocate(sizes: Sequence[int], shares: Sequence[float]) -> list[list[int]]:
    """Whole numbers for each stratum (row) and part (column): each within one of its share, and the parts' totals near theirs.

    What rounding left owing to a part is remembered from stratum to stratum, so that many small strata do not all favour the same part.
    """
    owed = [0.0] * len(shares)
    tables = []
    for size in sizes:
        exact = [size * share for share in shares]
        counts = [int(value + 1e-9) for value in exact]
        wanting = sorted(range(len(shares)), key=lambda part: (-(exact[part] - counts[part] + owed[part]), part))
        for part in [part for part in wanting if exact[part] - counts[part] > 1e-9][: size - sum(counts)]:
            counts[part] += 1
        owed = [value + exact[part] - counts[part] for part, value in enumerate(owed)]
        tables.append(counts)
    return tables


def deal_more(
    new: Sequence[Group], placed: Sequence[Group], parts: Mapping[str, str], options: SplitOptions
) -> Iterator[tuple[Group, str]]:
    """Each new group goes to the part that is furthest below its share of the group's stratum."""
    if options.method == "hashed":
        yield from ((group, _by_hash(group, options)) for group in new)
        return
    counts: dict[tuple[str, ...], dict[str, int]] = defaultdict(lambda: dict.fromkeys(options.fractions, 0))
    totals = dict.fromkeys(options.fractions, 0)
    for group in placed:
        part = parts[group.patients[0]]
        if part in totals:
            counts[group.stratum(options.stratify)][part] += 1
            totals[part] += 1
    for members in _strata(new, options):
        for group in members:
            here = counts[group.stratum(options.stratify)]
            size, everyone = sum(here.values()) + 1, sum(totals.values()) + 1
            part = max(
                options.fractions,
                key=lambda part: (size * options.fractions[part] - here[part], everyone * options.fractions[part] - totals[part]),
            )
            here[part] += 1
            totals[part] += 1
            yield group, part
