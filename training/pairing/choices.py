"""Choices of the command line that need no library to be listed."""

from enum import StrEnum


class InformationModel(StrEnum):
    """Query/Retrieve Information Model of C-FIND (PS3.4 C.6)."""

    STUDY = "study"
    PATIENT = "patient"


class AskBy(StrEnum):
    """How an archive is asked for studies: month by month, or for each patient of the DXA table."""

    DATES = "dates"
    PATIENTS = "patients"


class TableFormat(StrEnum):
    """File format of the manifest."""

    CSV = "csv"
    PARQUET = "parquet"
