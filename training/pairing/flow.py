"""How many studies were left after each step, and why the others were not: the numbers of a paper's Figure 1."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from training.pairing.match import Candidate
from training.pairing.reasons import IDENTITY_REASONS, TIME_REASONS, PairReason
from training.pairing.records import ImageKind

_MATCH_REASONS = frozenset({PairReason.NEARER_EXAM, PairReason.NEARER_PAIR})


@dataclass(frozen=True, kw_only=True)
class Step:
    """So many were left, after those ``out`` had gone, by reason."""

    text: str
    left: int
    out: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The steps of each kind of images, and of the DXA examinations.

    ``patients`` and ``exams_paired`` count distinct ones among the pairs; ``pairs`` counts the manifest's rows.
    """

    images: tuple[tuple[ImageKind, tuple[Step, ...]], ...]
    exams: tuple[Step, ...]
    pairs: int
    patients: int


def flow_of(candidates: Sequence[Candidate], keys: Iterable[str], months: int) -> Flow:
    """Count. ``keys`` names the patient of each candidate; each study counts once, by how far it came."""
    images: dict[tuple[ImageKind, str], list[Candidate]] = defaultdict(list)
    exams: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
    patients = set()
    for candidate, key in zip(candidates, keys, strict=True):
        if candidate.image is not None:
            images[candidate.image.kind, candidate.image.study_instance_uid].append(candidate)
        if candidate.exam is not None:
            exams[key, f"{candidate.exam.exam_date} {candidate.exam.source}"].append(candidate)
        if candidate.paired:
            patients.add(key)
    by_kind = []
    for kind in ImageKind:
        reached = [outcome(found) for (of_kind, _), found in images.items() if of_kind is kind]
        if reached:
            by_kind.append((kind, _image_steps(kind, reached, months)))
    return Flow(
        images=tuple(by_kind),
        exams=_exam_steps([outcome(found) for found in exams.values()]),
        pairs=sum(candidate.paired for candidate in candidates),
        patients=len(patients),
    )


def outcome(candidates: Sequence[Candidate]) -> str:
    """What became of one study: the code of that candidate of its that came furthest."""
    return max((candidate.why.code for candidate in candidates), key=lambda code: (_stage(code), code == PairReason.WRONG_ORDER, code))


def _stage(code: str) -> int:
    """0 unusable, 1 no partner, 2 another person, 3 another time, 4 another pair was nearer, 5 paired."""
    stages = ((PairReason.PAIRED,), _MATCH_REASONS, TIME_REASONS, IDENTITY_REASONS, (PairReason.NO_DXA, PairReason.NO_IMAGE))
    return next((5 - place for place, codes in enumerate(stages) if code in codes), 0)


def _image_steps(kind: ImageKind, reached: Sequence[str], months: int) -> tuple[Step, ...]:
    texts = (
        f"{kind} studies",
        "usable",
        "with a DXA of this Patient ID",
        "of the same person",
        f"within {months} months",
        "paired",
    )
    return _steps(texts, reached, (None, 0, 1, 2, 3, 4))


def _exam_steps(reached: Sequence[str]) -> tuple[Step, ...]:
    return _steps(("DXA records", "usable examinations", "with images of this Patient ID", "paired"), reached, (None, 0, 1, 4))


def _steps(texts: Sequence[str], reached: Sequence[str], last_out: Sequence[int | None]) -> tuple[Step, ...]:
    """``last_out`` is the latest stage that has gone when a step is counted."""
    steps: list[Step] = []
    left = list(reached)
    for text, stage in zip(texts, last_out, strict=True):
        gone = Counter(code for code in left if stage is not None and _stage(code) <= stage)
        left = [code for code in left if code not in gone]
        steps.append(Step(text=text, left=len(left), out=tuple(sorted(gone.items(), key=lambda item: (-item[1], item[0])))))
    return tuple(steps)
