"""Words of a header: what descriptions say, as whole words."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inference.reading import InstanceHeader

LATERAL_WORDS = frozenset({"LATERAL", "LAT", "LL", "RL", "LLD", "RLD", "LLO", "RLO", "LLAT", "RLAT"})
"""Whole words: BILATERAL is none of them."""


def words(*texts: str) -> tuple[str, ...]:
    """Whole words, upper case, in order."""
    return tuple(re.findall(r"[^\W_]+", " ".join(texts).upper()))


def described(header: "InstanceHeader") -> tuple[str, ...]:
    """The words of series, protocol and procedure step description: what this image is, as far as the header says."""
    return words(header.series_description, header.protocol_name, header.performed_procedure_step_description)
