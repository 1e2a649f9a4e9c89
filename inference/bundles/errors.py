"""Why a bundle is not used. Each is a refusal, so that a study that needed it is refused with a code and never silently.

Hierarchy::

    Refusal
    ├── BundleError            BUNDLE_INVALID: changed, incomplete, not what it says, or able to run code
    ├── BundleNotAllowedError  BUNDLE_NOT_ALLOWED: whole, but the site has not allowed it
    │   └── BundleNotPinnedError   the same code: the site has pinned another of its name
    └── BundleNotFoundError    NO_TRAINED_MODEL: there is none of this name
"""

from inference.errors import ReasonCode, Refusal


class BundleError(Refusal):
    """The bundle cannot be trusted or read."""

    def __init__(self, text: str) -> None:
        super().__init__(ReasonCode.BUNDLE_INVALID, text)


class BundleNotAllowedError(Refusal):
    """The bundle is whole, but this site does not let it run."""

    def __init__(self, text: str) -> None:
        super().__init__(ReasonCode.BUNDLE_NOT_ALLOWED, text)


class BundleNotPinnedError(BundleNotAllowedError):
    """The site pinned a bundle of this name, and this is another."""


class BundleNotFoundError(Refusal):
    """No bundle has this name."""

    def __init__(self, text: str) -> None:
        super().__init__(ReasonCode.NO_TRAINED_MODEL, text)
