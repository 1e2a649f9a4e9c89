"""What can go wrong with an archive, beside :class:`~training.errors.TrainingError` (input that cannot be used as it is)."""

from inference.errors import RetryableError


class ArchiveError(RetryableError):
    """A PACS or DICOMweb server cannot be reached, refuses, or breaks off: the same query may succeed later."""
