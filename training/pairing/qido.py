"""A DICOMweb server asked by QIDO-RS (PS3.18 10.6): the only door of the training package to dicomweb-client."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydicom import Dataset

from inference.tolerant import READ_ERRORS, text_of, tolerant
from training.errors import TrainingError
from training.pairing.archive import INSTANCE_KEYS, SERIES_KEYS, STUDY_KEYS, Answer, Window
from training.pairing.errors import ArchiveError

PAGE = 200
_FINAL = {
    400: "it does not take this query",
    401: "it wants a login (--auth-header-env)",
    403: "it forbids this (--auth-header-env)",
    404: "there is no QIDO-RS at this address",
    406: "it answers no application/dicom+json",
}


def header_from_environment(name: str | None) -> dict[str, str]:
    """An HTTP header ``Name: value`` from an environment variable; the value never appears in a message.

    Raises
    ------
    TrainingError
        The variable is not set, or holds no header.
    """
    if name is None:
        return {}
    text = os.environ.get(name)
    if text is None:
        raise TrainingError(f"The environment variable {name} is not set; it must hold a header, such as 'Authorization: Bearer ...'.")
    key, colon, value = text.partition(":")
    if not colon or not key.strip() or not value.strip() or "\n" in text or "\r" in text:
        raise TrainingError(f"The environment variable {name} holds no HTTP header of the form 'Authorization: Bearer ...'.")
    return {key.strip(): value.strip()}


class QidoArchive:
    """A DICOMweb server, page by page until a page is empty.

    Parameters
    ----------
    url
        The service's root, such as ``https://pacs/dicom-web``.
    headers
        Sent with each request.
    page
        How many answers are asked for at a time; a server may give fewer.

    Raises
    ------
    TrainingError
        dicomweb-client is not installed, or the address is no URL.
    """

    def __init__(self, url: str, headers: Mapping[str, str], *, timeout_s: float = 60.0, page: int = PAGE) -> None:
        try:
            from dicomweb_client import DICOMwebClient
        except ImportError:
            raise TrainingError("QIDO-RS needs dicomweb-client: pip install 'osteon[training]'.") from None
        self.name = url
        self._page = page
        try:
            self._client = DICOMwebClient(url=url.rstrip("/"), headers=dict(headers), timeout=timeout_s)
        except (ValueError, AttributeError, TypeError):
            raise TrainingError(f"--qido {url}: write the service's root, such as http://127.0.0.1:8042/dicom-web.") from None
        self._client.set_http_retry_params(retry=True, max_attempts=3, wait_exponential_multiplier=250)

    def studies(self, window: Window, patient_id: str) -> Answer:
        """Studies by date."""
        filters = {"StudyDate": window.study_date}
        if window.study_time:
            filters["StudyTime"] = window.study_time
        if patient_id:
            filters["PatientID"] = patient_id
        return self._pages(
            lambda **page: self._client.search_for_studies(search_filters=filters, fields=STUDY_KEYS, **page), "StudyInstanceUID"
        )

    def series(self, study: Dataset) -> Answer:
        """Every series of a study."""
        uid = text_of(study, "StudyInstanceUID")
        return self._pages(lambda **page: self._client.search_for_series(uid, fields=SERIES_KEYS, **page), "SeriesInstanceUID")

    def instances(self, study: Dataset, series: Dataset) -> Answer:
        """Every instance of a series."""
        uids = text_of(study, "StudyInstanceUID"), text_of(series, "SeriesInstanceUID")
        return self._pages(lambda **page: self._client.search_for_instances(*uids, fields=INSTANCE_KEYS, **page), "SOPInstanceUID")

    def _pages(self, search: Callable[..., Sequence[Mapping[str, Any]]], key: str) -> Answer:
        """All pages; ``cut`` where a page brings nothing new, because the server ignores the offset."""
        found: dict[str, Dataset] = {}
        offset = 0
        while True:
            page = self._get(search, offset)
            new = {uid: row for row in page if (uid := text_of(row, key)) and uid not in found}
            found.update(new)
            if not page:
                return Answer(rows=tuple(found.values()))
            if not new:
                return Answer(rows=tuple(found.values()), cut=True)
            offset += len(page)

    def _get(self, search: Callable[..., Sequence[Mapping[str, Any]]], offset: int) -> list[Dataset]:
        from requests.exceptions import HTTPError, RequestException

        try:
            with tolerant():
                return [Dataset.from_json(dict(row)) for row in search(limit=self._page, offset=offset)]
        except HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status in _FINAL:
                raise TrainingError(f"{self.name} answered {status}: {_FINAL[status]}.") from None
            raise ArchiveError(f"{self.name} answered {status}; try again later.") from None
        except RequestException as error:
            raise ArchiveError(f"{self.name} cannot be reached: {type(error).__name__}.") from None
        except READ_ERRORS as error:
            raise ArchiveError(f"{self.name} answered with something that is no DICOM JSON: {type(error).__name__}.") from None
