"""Exports of densitometers with one row a level (patient, date, region, BMD, T-score): widened to one row an examination."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.data.columns import LONG_COLUMNS, Matched, match_columns, named_level
from training.data.options import ReadOptions
from training.data.problems import Problems
from training.data.table import Row, Table

_VALUES = {"bmd": "BMD", "t_score": "T-score"}
_SHOWN = 8

Key = tuple[str, ...]
Place = tuple[str, str]
"""Value column and level."""


@dataclass(frozen=True, kw_only=True)
class _Levels:
    """The cells of a long table by examination, in order of appearance."""

    numbers: Mapping[Key, int]
    cells: Mapping[Key, Mapping[Place, str]]
    left_out: Counter[str]


def widen(path: Path, table: Table, options: ReadOptions) -> tuple[Table, ReadOptions]:
    """A table with a column of levels, as one with a column for each level; any other table as it is.

    Rows belong to one examination where all that is recognised beside level and values is the same. Regions that are no level of the
    spine are left out and counted. A row's number is that of the examination's first.

    Raises
    ------
    ManifestError
        One examination gives two values for one level.
    """
    matched = match_columns(table.headers, options.columns, long=True)
    if "level" not in matched.positions or not _VALUES.keys() & matched.positions.keys():
        return table, options
    keys = [position for name, position in sorted(matched.positions.items(), key=lambda item: item[1]) if name not in (*_VALUES, "level")]
    problems = Problems(path)
    levels = _by_examination(table, matched, keys, problems)
    problems.check()
    places = sorted({place for cells in levels.cells.values() for place in cells})
    rows = [
        Row(number=levels.numbers[key], cells=(*key, *(cells.get(place, "") for place in places))) for key, cells in levels.cells.items()
    ]
    unit = f" ({matched.units['bmd'].value})" if "bmd" in matched.units else ""
    headers = [f"{_VALUES[name]} {level}{unit if name == 'bmd' else ''}" for name, level in places]
    widened = replace(
        table,
        headers=(*(table.headers[position] for position in keys), *headers),
        rows=tuple(rows),
        notices=(*table.notices, *_notices(table, matched, levels)),
    )
    stated = {name: header for name, header in options.columns.items() if name not in (*_VALUES, *LONG_COLUMNS)}
    return widened, options.model_copy(update={"columns": stated})


def _by_examination(table: Table, matched: Matched, keys: Sequence[int], problems: Problems) -> _Levels:
    numbers: dict[Key, int] = {}
    cells: dict[Key, dict[Place, str]] = defaultdict(dict)
    left_out: Counter[str] = Counter()
    values = [name for name in _VALUES if name in matched.positions]
    for row in table.rows:
        said = row.cells[matched.positions["level"]]
        level = named_level(said)
        if level is None:
            left_out[said or "(empty)"] += 1
            continue
        key = tuple(row.cells[position] for position in keys)
        numbers.setdefault(key, row.number)
        for name in values:
            cell = row.cells[matched.positions[name]]
            if cells[key].setdefault((name, level), cell) != cell:
                header = table.headers[matched.positions[name]]
                problems.add(
                    f"{level} is given a second time, as {cell!r} after {cells[key][name, level]!r}", row=row.number, column=header
                )
    return _Levels(numbers=numbers, cells=cells, left_out=left_out)


def _notices(table: Table, matched: Matched, levels: _Levels) -> list[str]:
    notices = [f"one row a level: {len(table.rows)} rows became {len(levels.cells)}"]
    if levels.left_out:
        listed = ", ".join(f"{name!r} ({count})" for name, count in levels.left_out.most_common(_SHOWN))
        notices.append(f"regions that are no level of the spine were left out: {listed}")
    if matched.unused:
        notices.append(f"columns that were not used: {', '.join(map(repr, matched.unused[:_SHOWN]))}")
    return notices
