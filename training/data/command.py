"""``osteon manifest``: how a table reads, what it holds, and how its patients are dealt out."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from training.errors import TrainingError

_SHOWN = 10

if TYPE_CHECKING:
    from training.data.rows import Manifest
    from training.data.splits import SplitOptions


def manifest(
    table: Annotated[Path, typer.Argument(help="CSV or Parquet: a manifest, or a hospital's export.", metavar="FILE")],
    columns: Annotated[Path | None, typer.Option("--columns", help="map.yaml: what the table's columns and words mean.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write what was read as a clean manifest (.csv or .parquet).")] = None,
    without_images: Annotated[bool, typer.Option("--without-images", help="A list of DXA results: no paths, nothing must exist.")] = False,
    split: Annotated[Path | None, typer.Option("--split", help="Make this split.json, or check and extend it.")] = None,
    extend: Annotated[bool, typer.Option("--extend", help="Deal new patients out where the split knows an older manifest.")] = False,
    test: Annotated[float, typer.Option("--test", help="Fraction of the test part.")] = 0.2,
    validation: Annotated[float | None, typer.Option("--validation", help="Fraction of the validation part; 0.1 without folds.")] = None,
    folds: Annotated[int | None, typer.Option("--folds", help="Deal what is not test into so many folds.")] = None,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    hold_out: Annotated[list[str] | None, typer.Option("--hold-out", help="A site that is nobody's training data.")] = None,
    ids_per_site: Annotated[bool, typer.Option("--ids-per-site", help="Each site numbers its own patients.")] = False,
    compare_images: Annotated[bool, typer.Option("--compare-images", help="Find the same pixels under two patients.")] = False,
) -> None:
    """Read a table as training would, say what it holds, and deal its patients out.

    Exit code: 0, or 2 with every complaint (file, row, column) where the table cannot be used.
    """
    from training.data.manifest import REQUIRED, Modality, ReadOptions, load_read_options, read_manifest, write_manifest

    stated = load_read_options(columns) if columns is not None else ReadOptions()
    if without_images and stated.modality is None:
        stated = stated.model_copy(update={"modality": Modality.DXA})
    found = read_manifest(table, stated, required=("patient_id",) if without_images else REQUIRED, check_paths=not without_images)
    console = Console(highlight=False, soft_wrap=True)
    _print_manifest(console, found)
    if out is not None:
        found = write_manifest(found.rows, out)
        console.print(f"manifest: {out}", markup=False)
    if split is not None:
        options = _options(
            seed=seed, test=test, validation=validation, folds=folds, hold_out_sites=hold_out or (), ids_per_site=ids_per_site
        )
        _split(console, found, split, options, extend=extend, compare_images=compare_images)


def _options(**values: object) -> "SplitOptions":
    """Options of a split from the command line.

    Raises
    ------
    TrainingError
        They contradict each other.
    """
    from pydantic import ValidationError

    from training.data.splits import SplitOptions

    try:
        return SplitOptions.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"--{step}: " for step in first["loc"][:1])
        raise TrainingError(place + first["msg"].removeprefix("Value error, ")) from None


def _split(console: Console, found: "Manifest", path: Path, options: "SplitOptions", *, extend: bool, compare_images: bool) -> None:
    """Make, check or extend a split and print who is where."""
    from training.data.content import content_of
    from training.data.split_file import count_patients, load_or_make_split, load_split, save_split

    content = content_of(found) if compare_images else None
    if extend and path.exists():
        dealt = load_split(path, found, extend=True, content=content)
        save_split(dealt, found, path)
    else:
        dealt = load_or_make_split(path, found, options, content=content)
    _print_counts(console, "patients by part", count_patients(dealt, found))
    for names in dealt.linked[:_SHOWN]:
        console.print(f"kept together: {', '.join(names)}", markup=False)
    if len(dealt.linked) > _SHOWN:
        console.print(f"kept together: {len(dealt.linked) - _SHOWN} more groups")
    console.print(f"split: {path}", markup=False)


def _print_manifest(console: Console, found: "Manifest") -> None:
    counts: dict[str, Counter[str]] = {}
    for row in found.used:
        counts.setdefault(row.modality.value, Counter())[row.label.value if row.label is not None else "unlabelled"] += 1
    _print_counts(console, "rows by modality", counts)
    excluded = Counter(row.excluded_because for row in found.rows if row.excluded_because is not None)
    for reason, count in excluded.most_common():
        console.print(f"excluded: {count} rows: {reason}", markup=False)
    for notice in found.notices:
        console.print(f"note: {notice}", markup=False)
    console.print(f"{len(found.rows)} rows, {len(found.used)} of them used, of {len(found.patients)} patients")


def _print_counts(console: Console, title: str, counts: Mapping[str, Mapping[str, int]]) -> None:
    """A table of labels (columns) by part or modality (rows)."""
    labels = [name for name in ("normal", "osteopenia", "osteoporosis", "unlabelled") if any(name in found for found in counts.values())]
    table = Table("", *labels, "all", title=title)
    for name, found in counts.items():
        table.add_row(name, *(str(found.get(label, 0)) for label in labels), str(sum(found.values())))
    console.print(table)
