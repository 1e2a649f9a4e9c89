"""Errors that concern the network, configuration and storage; the root and its two children are ``inference.errors``.

Hierarchy::

    OsteonError
    ├── RetryableError
    │   ├── DeliveryError          a peer did not answer Success; the outbox tries again
    │   └── StorageError           the spool or the ledger cannot take it now (disk full, database locked)
    └── PermanentError
        ├── ConfigError            config.yaml is wrong; names the line and the key
        ├── DeliveryRejectedError  a peer refused for good (SOP class not supported)
        ├── NotFoundError          no such study
        ├── IllegalTransitionError (node.states) a study was asked to take a step its state does not allow
        ├── LeaseLostError         (node.ledger.jobs) a worker's run is no longer its own
        └── LedgerVersionError     (node.ledger.migrations) the ledger belongs to other software
"""

from enum import IntEnum

from inference.errors import OsteonError, PermanentError, RetryableError

__all__ = [
    "ConfigError",
    "DeliveryError",
    "DeliveryRejectedError",
    "ExitCode",
    "NotFoundError",
    "OsteonError",
    "PermanentError",
    "RetryableError",
    "StorageError",
]


class ExitCode(IntEnum):
    """What the command ``osteon`` exits with."""

    RESULT = 0
    UNEXPECTED = 1
    USAGE = 2
    REFUSED = 3
    NOT_DELIVERED = 4


class ConfigError(PermanentError):
    """``config.yaml`` cannot be used; the text names file, line, key and what to do."""


class DeliveryError(RetryableError):
    """A destination did not take an instance; it may later."""


class DeliveryRejectedError(PermanentError):
    """A destination refused an instance for a reason that trying again does not change."""


class StorageError(RetryableError):
    """The spool or the ledger cannot take it now."""


class NotFoundError(PermanentError):
    """What was asked for is not in the ledger."""
