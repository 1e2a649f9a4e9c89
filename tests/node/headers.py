"""Headers for tests of routing: a CT that says nothing in words."""

from dataclasses import replace
from typing import Any

from inference.reading import InstanceHeader
from tests.inference.headers import PLAIN

BLANK = replace(PLAIN, study_description="", series_description="", series_number=1, body_part_examined="")


def header(**values: Any) -> InstanceHeader:
    """A blank CT header with some values set."""
    return replace(BLANK, **values)
