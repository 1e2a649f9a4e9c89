"""Words of a header: what descriptions say, as whole words."""

import re

LATERAL_WORDS = frozenset({"LATERAL", "LAT", "LL", "RL", "LLD", "RLD", "LLO", "RLO", "LLAT", "RLAT"})
"""Whole words: BILATERAL is none of them."""


def words(*texts: str) -> tuple[str, ...]:
    """Whole words, upper case, in order."""
    return tuple(re.findall(r"[^\W_]+", " ".join(texts).upper()))
