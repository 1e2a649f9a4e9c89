"""Errors of the training package: each says what is wrong and what to do."""

from inference.errors import PermanentError


class TrainingError(PermanentError):
    """Labelled data, options or weights that cannot be used as they are."""
