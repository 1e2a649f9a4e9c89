"""Asking an archive: nothing is cut short unseen, and what was answered is not asked again."""

from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from inference.tolerant import text_of
from training.errors import TrainingError
from training.pairing.archive import Answer, Window, find_studies, months_between
from training.pairing.errors import ArchiveError
from training.pairing.journal import Journal
from training.pairing.records import ImageKind
from training.pairing.remote import PatientDays, Request, remote_studies
from training.pairing.studies import ImageOptions

pytestmark = pytest.mark.unit

JANUARY = Window(first=date(2024, 1, 1), last=date(2024, 1, 31))


def row(uid: str, day: str = "20240110", time: str = "", **values: str) -> Dataset:
    """A study as an archive answers it."""
    ds = Dataset()
    ds.StudyInstanceUID, ds.StudyDate, ds.StudyTime = f"2.25.{uid}", day, time
    ds.PatientID, ds.ModalitiesInStudy = "A", "CT"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def matching(rows: list[Dataset], window: Window) -> list[Dataset]:
    """The studies of a window; one without a time matches no range of times (PS3.4 C.2.2.2.5)."""
    minutes = window.study_time
    found = []
    for one in rows:
        if not f"{window.first:%Y%m%d}" <= str(one.StudyDate) <= f"{window.last:%Y%m%d}":
            continue
        if minutes and not (one.StudyTime and minutes[:6] <= str(one.StudyTime) <= minutes[7:13]):
            continue
        found.append(one)
    return found


def cutting(rows: list[Dataset], most: int) -> Callable[[Window], Answer]:
    """A server that gives its first answers and says nothing of the others."""
    return lambda window: Answer(rows=tuple(matching(rows, window)[:most]))


MOMENTS = st.tuples(st.integers(0, 30), st.integers(0, 1439))


@settings(deadline=None, max_examples=40)
@given(st.lists(MOMENTS, max_size=40, unique=True), st.integers(2, 6))
def test_a_silent_limit_loses_no_study(moments: list[tuple[int, int]], most: int) -> None:
    rows = [
        row(str(n), f"{date(2024, 1, 1) + timedelta(days=day):%Y%m%d}", f"{minute // 60:02d}{minute % 60:02d}30")
        for n, (day, minute) in enumerate(moments, start=1)
    ]
    found = find_studies(cutting(rows, most), [JANUARY], most)
    assert set(found.studies) == {str(one.StudyInstanceUID) for one in rows}
    assert found.uncertain == ()


def test_more_studies_in_one_minute_than_the_limit_are_said() -> None:
    rows = [row(str(n), time="101530") for n in range(1, 8)]
    found = find_studies(cutting(rows, 3), [JANUARY], 3)
    assert len(found.studies) == 3
    assert found.uncertain == ("20240110 101500-101559.999999",)


def test_studies_without_a_time_are_kept_from_the_answer_for_the_day() -> None:
    rows = [row(str(n), time="" if n < 3 else f"{n:02d}0000") for n in range(1, 8)]
    found = find_studies(cutting(rows, 4), [JANUARY], 4)
    assert set(found.studies) == {str(one.StudyInstanceUID) for one in rows}


def test_a_server_that_says_it_cut_is_believed() -> None:
    rows = [row(str(n), f"202401{n:02d}") for n in range(1, 10)]

    def ask(window: Window) -> Answer:
        found = matching(rows, window)
        return Answer(rows=(), cut=True) if len(found) > 2 else Answer(rows=tuple(found))

    assert len(find_studies(ask, [JANUARY], 100).studies) == 9


def test_a_server_that_ignores_the_dates_is_not_asked_forever() -> None:
    rows = tuple(row(str(n), "20240105" if n < 3 else "20190101") for n in range(1, 8))
    asked: list[Window] = []

    def ask(window: Window) -> Answer:
        asked.append(window)
        return Answer(rows=rows)

    found = find_studies(ask, [JANUARY], 5)
    assert set(found.studies) == {"2.25.1", "2.25.2"}
    assert len(asked) == 3
    assert len(found.uncertain) == 1


@given(st.dates(date(2000, 1, 1), date(2030, 1, 1)), st.integers(0, 500))
def test_months_cover_every_day_once(first: date, days: int) -> None:
    last = first + timedelta(days=days)
    windows = list(months_between(first, last))
    assert windows[0].first == first
    assert windows[-1].last == last
    assert all(later.first == earlier.last + timedelta(days=1) for earlier, later in pairwise(windows))


class Shelf:
    """An archive in memory. ``breaks_after`` questions it is gone."""

    name = "shelf"

    def __init__(self, studies: list[Dataset], series: dict[str, list[Dataset]], instances: dict[str, list[Dataset]]) -> None:
        self._studies, self._series, self._instances = studies, series, instances
        self.asked: list[str] = []
        self.breaks_after = 1000

    def _note(self, question: str) -> None:
        if len(self.asked) == self.breaks_after:
            raise ArchiveError("the shelf fell down")
        self.asked.append(question)

    def studies(self, window: Window, patient_id: str) -> Answer:
        self._note(f"studies {window} {patient_id}".rstrip())
        return Answer(rows=tuple(one for one in matching(self._studies, window) if patient_id in ("", one.PatientID)))

    def series(self, study: Dataset) -> Answer:
        self._note(f"series {text_of(study, 'StudyInstanceUID')}")
        return Answer(rows=tuple(self._series.get(text_of(study, "StudyInstanceUID"), [])))

    def instances(self, study: Dataset, series: Dataset) -> Answer:
        assert text_of(study, "StudyInstanceUID")
        self._note(f"instances {text_of(series, 'SeriesInstanceUID')}")
        return Answer(rows=tuple(self._instances.get(text_of(series, "SeriesInstanceUID"), [])))


def of_series(uid: str, modality: str = "CT", **values: str) -> Dataset:
    """A series as an archive answers it."""
    ds = Dataset()
    ds.SeriesInstanceUID, ds.Modality = f"2.25.{uid}", modality
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def of_instance(uid: str, **values: str) -> Dataset:
    """An instance as an archive answers it."""
    ds = Dataset()
    ds.SOPInstanceUID = f"2.25.{uid}"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def request(**changes: object) -> Request:
    """January, everybody's studies worth looking into."""
    days = PatientDays(patient_id="A", first=JANUARY.first, last=JANUARY.last)
    values: dict[str, object] = {"patients": (days,), "wanted": lambda *_: True, **changes}
    return Request(**values)  # type: ignore[arg-type]


def shelf() -> Shelf:
    """A CT with a localizer and two axial series, a film, a DXA sent as CR, and a CT of a head."""
    studies = [row("1"), row("2", ModalitiesInStudy="CR"), row("3", ModalitiesInStudy="CR", StudyDescription="DXA Exam"), row("4")]
    series = {
        "2.25.1": [
            of_series("11", SeriesDescription="SCOUT", NumberOfSeriesRelatedInstances="1"),
            of_series("12", SeriesDescription="ABD 3.0", NumberOfSeriesRelatedInstances="120"),
            of_series("13", SeriesDescription="LUNG", BodyPartExamined="CHEST"),
            of_series("14", SeriesDescription="CORONAL MIP"),
        ],
        "2.25.2": [of_series("21", "CR", BodyPartExamined="CHEST"), of_series("22", "CR", BodyPartExamined="CHEST")],
        "2.25.4": [of_series("41", BodyPartExamined="HEAD")],
    }
    instances = {"2.25.21": [of_instance("211", ViewPosition="LL")], "2.25.22": [of_instance("221", ViewPosition="PA")]}
    return Shelf(studies, series, instances)


def test_series_that_may_be_used_are_listed() -> None:
    found = {one.study_instance_uid: one for one in remote_studies(shelf(), request(), Journal(None), lambda *_: None).images}
    assert found["2.25.1"].series_listed == ("2.25.12", "2.25.13")
    assert found["2.25.2"].series_listed == ("2.25.22",)
    assert found["2.25.4"].excluded is not None
    assert found["2.25.4"].excluded.code == "WRONG_BODY_PART"
    assert "2.25.3" not in found


def test_only_studies_that_may_be_paired_are_looked_into() -> None:
    archive = shelf()
    found = remote_studies(archive, request(wanted=lambda *_: False), Journal(None), lambda *_: None)
    assert {one.study_instance_uid for one in found.images} == {"2.25.1", "2.25.2", "2.25.4"}
    assert not any(question.startswith(("series", "instances")) for question in archive.asked)


def test_a_run_that_broke_goes_on_from_its_journal(tmp_path: Path) -> None:
    whole = remote_studies(shelf(), request(), Journal(None), lambda *_: None)
    broken = shelf()
    broken.breaks_after = 4
    with Journal(tmp_path / "journal") as journal, pytest.raises(ArchiveError):
        remote_studies(broken, request(), journal, lambda *_: None)
    mended = shelf()
    with Journal(tmp_path / "journal") as journal:
        assert remote_studies(mended, request(), journal, lambda *_: None) == whole
    assert not set(mended.asked) & set(broken.asked)


def test_a_server_that_names_no_modalities_is_asked_for_the_series() -> None:
    studies = [row("1", ModalitiesInStudy=""), row("5", ModalitiesInStudy="")]
    full = shelf()
    archive = Shelf(studies, {**full._series, "2.25.5": [of_series("51", "MR")]}, {})
    found = remote_studies(archive, request(), Journal(None), lambda *_: None)
    assert [(one.study_instance_uid, one.kind) for one in found.images] == [("2.25.1", ImageKind.CT)]


def test_fewer_series_or_slices_than_the_server_counts_are_said() -> None:
    archive = shelf()
    archive._studies[0].NumberOfStudyRelatedSeries = 5
    found = remote_studies(archive, request(deep=True), Journal(None), lambda *_: None)
    assert found.uncertain == ("study 2.25.1", "series 2.25.12")


def test_asked_for_each_patient() -> None:
    archive = shelf()
    images = ImageOptions(kinds=frozenset({ImageKind.CT}))
    remote_studies(archive, request(by_patient=True, images=images), Journal(None), lambda *_: None)
    assert archive.asked[0] == "studies 20240101-20240131 A"
    wild = PatientDays(patient_id="A*", first=JANUARY.first, last=JANUARY.last)
    with pytest.raises(TrainingError, match="wildcard"):
        remote_studies(archive, request(by_patient=True, patients=(wild,)), Journal(None), lambda *_: None)


def test_nothing_is_asked_where_there_is_no_dxa() -> None:
    archive = shelf()
    assert remote_studies(archive, request(patients=()), Journal(None), lambda *_: None).images == ()
    assert archive.asked == []
