"""Image studies from a PACS or a DICOMweb server: queries small enough that no server's limit cuts them short unseen."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Protocol

from pydicom import Dataset

from inference.reading import HEADER_KEYWORDS
from inference.tolerant import text_of
from training.pairing.records import parse_day

MINUTES_A_DAY = 24 * 60
STUDY_KEYS = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "AccessionNumber",
    "StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedSeries",
)  # fmt: skip
SERIES_KEYS = (
    "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "ProtocolName", "BodyPartExamined",
    "PerformedProcedureStepDescription", "Manufacturer", "ManufacturerModelName", "NumberOfSeriesRelatedInstances",
)  # fmt: skip
_NOT_ASKED = frozenset((*STUDY_KEYS, *SERIES_KEYS, "PatientName", "StudyID", "FrameOfReferenceUID"))
INSTANCE_KEYS = tuple(key for key in dict.fromkeys(HEADER_KEYWORDS) if key not in _NOT_ASKED)


@dataclass(frozen=True, kw_only=True)
class Window:
    """Days from ``first`` to ``last``; within one day, minutes from ``start`` up to, not including, ``end``."""

    first: date
    last: date
    start: int = 0
    end: int = MINUTES_A_DAY

    @property
    def study_date(self) -> str:
        """The range as a query key (PS3.4 C.2.2.2.5)."""
        return f"{self.first:%Y%m%d}-{self.last:%Y%m%d}" if self.first != self.last else f"{self.first:%Y%m%d}"

    @property
    def study_time(self) -> str:
        """The range of Study Time as a query key; empty for whole days."""
        if self.end - self.start == MINUTES_A_DAY:
            return ""
        last = self.end - 1
        return f"{self.start // 60:02d}{self.start % 60:02d}00-{last // 60:02d}{last % 60:02d}59.999999"

    def halves(self) -> tuple["Window", ...]:
        """The window in two, by days, then by minutes; nothing below a minute."""
        days = (self.last - self.first).days
        if days:
            middle = self.first + timedelta(days=days // 2)
            return replace(self, last=middle), replace(self, first=middle + timedelta(days=1))
        if self.end - self.start < 2:
            return ()
        noon = (self.start + self.end) // 2
        return replace(self, end=noon), replace(self, start=noon)

    def __str__(self) -> str:
        return f"{self.study_date} {self.study_time}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server answered. ``cut`` where it said that there was more."""

    rows: tuple[Dataset, ...]
    cut: bool = False


class Archive(Protocol):
    """Something that can be asked for studies, series and instances.

    Each may raise :class:`~training.pairing.errors.ArchiveError` (try again later) or :class:`~training.errors.TrainingError` (the
    server will never answer this).
    """

    name: str

    def studies(self, window: Window, patient_id: str) -> Answer:
        """Studies of a window, of one patient unless ``patient_id`` is empty; with :data:`STUDY_KEYS`.

        The modality is no matching key: Orthanc 1.10 applies its limit before it looks at modalities, and answers Success with fewer
        studies than both its limit and the truth.
        """

    def series(self, study: Dataset) -> Answer:
        """Series of a study, with :data:`SERIES_KEYS`."""

    def instances(self, study: Dataset, series: Dataset) -> Answer:
        """Instances of a series, with :data:`INSTANCE_KEYS`."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Studies by UID, and the windows in which there may be more than the server gave."""

    studies: dict[str, Dataset]
    uncertain: tuple[str, ...]


def find_studies(ask: Callable[[Window], Answer], windows: Iterable[Window], limit: int) -> Found:
    """Every study of the windows.

    Many servers return their first N answers and say Success. So an answer of ``limit`` or more is not believed: the window is halved, by
    days, then by time of day, until each part stays below. What the larger window gave is kept, too: studies without a Study Time match
    no range of times. A window that cannot be halved, or whose halves give the same again (the server ignores the key), is uncertain.
    """
    studies: dict[str, Dataset] = {}
    uncertain: list[str] = []
    for whole in windows:
        waiting = [(whole, ask(whole))]
        while waiting:
            window, answer = waiting.pop()
            studies.update({uid: row for row in answer.rows if _in_window(row, window) and (uid := text_of(row, "StudyInstanceUID"))})
            if not answer.cut and len(answer.rows) < limit:
                continue
            halves = [(half, ask(half)) for half in window.halves()]
            if halves and not _repeats(answer, [half for _, half in halves]):
                waiting.extend(reversed(halves))
            else:
                uncertain.append(str(window))
    return Found(studies=studies, uncertain=tuple(uncertain))


def _repeats(whole: Answer, halves: Sequence[Answer]) -> bool:
    """Whether each half is the whole over again."""
    uids = {text_of(row, "StudyInstanceUID") for row in whole.rows}
    return bool(uids) and all({text_of(row, "StudyInstanceUID") for row in half.rows} == uids for half in halves)


def _in_window(row: Dataset, window: Window) -> bool:
    """A server that ignores the dates of a query answers with everything; what lies outside is dropped here."""
    day = parse_day(text_of(row, "StudyDate"))
    return day is None or window.first <= day <= window.last


def months_between(first: date, last: date) -> Iterator[Window]:
    """The days from ``first`` to ``last``, a calendar month at a time."""
    start = first
    while start <= last:
        following = date(start.year + start.month // 12, start.month % 12 + 1, 1)
        yield Window(first=start, last=min(last, following - timedelta(days=1)))
        start = following
