"""What is wrong with a table, all of it at once: a person who mends an export wants the whole list, not the first line."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from training.errors import TrainingError

SHOWN = 20
"""Complaints that a message holds; the rest is counted."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One complaint. ``row`` counts as a spreadsheet does, from 1; None concerns the whole file. ``column`` is the file's own header."""

    text: str
    row: int | None = None
    column: str | None = None

    def said(self, name: str) -> str:
        """``file:row: column: text``, without what does not apply."""
        place = name if self.row is None else f"{name}:{self.row}"
        return f"{place}: {self.text}" if self.column is None else f"{place}: {self.column}: {self.text}"


class ManifestError(TrainingError):
    """A table that cannot be read as a manifest. ``problems`` holds every complaint, the message the first twenty."""

    def __init__(self, path: Path | str, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [problem.said(str(path)) for problem in self.problems[:SHOWN]]
        if len(self.problems) > SHOWN:
            lines.append(f"... and {len(self.problems) - SHOWN} more")
        super().__init__("\n".join(lines))


@dataclass
class Problems:
    """The complaints met so far while one file is read."""

    path: Path
    found: list[Problem] = field(default_factory=list)

    def add(self, text: str, *, row: int | None = None, column: str | None = None) -> None:
        """Note one complaint and go on."""
        self.found.append(Problem(text=text, row=row, column=column))

    def check(self) -> None:
        """Stop here if there is anything to complain about.

        Raises
        ------
        ManifestError
            With all that was noted, in the order of the file.
        """
        if self.found:
            raise ManifestError(self.path, sorted(self.found, key=lambda problem: problem.row or 0))
