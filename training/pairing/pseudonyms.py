"""Names, UIDs and dates that stand for a patient's, the same in every run with the same key and of no meaning without it."""

import base64
import hashlib
import hmac
from datetime import date, timedelta
from pathlib import Path

from training.errors import TrainingError

MIN_KEY_BYTES = 16
MAX_SHIFT_DAYS = 365
_DIGITS = 16


class Pseudonyms:
    """HMAC-SHA-256 (RFC 2104) under a secret key, one salt for each kind of value.

    Patients become ``P`` and 16 letters or digits (80 bits), UIDs 2.25 UIDs (PS3.5 B.2); a patient's dates move back by the same 1 to
    365 days, so that intervals stay. The key is neither shown nor written.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise TrainingError(
                f"The key file holds {len(key)} bytes; at least {MIN_KEY_BYTES} are needed (head -c 32 /dev/urandom > key)."
            )
        self._key = key

    def __repr__(self) -> str:
        return "Pseudonyms(key=****)"

    @classmethod
    def from_file(cls, path: Path) -> "Pseudonyms":
        """The key in a file, all of its bytes.

        Raises
        ------
        TrainingError
            It cannot be read, or is too short.
        """
        try:
            return cls(path.read_bytes())
        except OSError as error:
            text = f"The key file {path} cannot be read: {error.strerror or error}. Make one: head -c 32 /dev/urandom > {path}"
            raise TrainingError(text) from None

    def patient(self, patient: str) -> str:
        """The pseudonym of a patient."""
        return "P" + base64.b32encode(self._digest("patient", patient))[:_DIGITS].decode()

    def uid(self, uid: str) -> str:
        """A UID in place of another; empty stays empty."""
        return f"2.25.{int.from_bytes(self._digest('uid', uid)[:16], 'big')}" if uid else ""

    def day(self, patient: str, day: date) -> date:
        """A date of this patient, moved."""
        shift = 1 + int.from_bytes(self._digest("shift", patient)[:8], "big") % MAX_SHIFT_DAYS
        return day - timedelta(days=shift)

    def _digest(self, salt: str, text: str) -> bytes:
        return hmac.new(self._key, f"{salt}\x1f{text}".encode(), hashlib.sha256).digest()
