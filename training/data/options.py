"""What a person states about a table, so that nothing in it has to be guessed: ``--columns map.yaml``."""

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from training.data.columns import COLUMNS, LONG_COLUMNS, BmdUnit
from training.data.labels import BoneLabel
from training.data.problems import ManifestError, Problem
from training.data.values import DateOrder, Modality, Sex


def _known_column(name: str) -> str:
    if name not in (*COLUMNS, *LONG_COLUMNS):
        raise ValueError(f"no column of a manifest; known: {', '.join(COLUMNS[:16])}, bmd_L1_g_cm2 ..., t_score_L1 ...")
    return name


def _codec(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise ValueError(f"no known encoding: {name}") from None


def _decimal(sign: str) -> str:
    if sign not in (",", "."):
        raise ValueError("the decimal sign is ',' or '.'")
    return sign


def _delimiter(sign: str) -> str:
    if len(sign) != 1:
        raise ValueError("the delimiter is one character, such as ';' or a tab")
    return sign


ColumnName = Annotated[str, AfterValidator(_known_column)]
CellText = Annotated[str, BeforeValidator(str)]
"""YAML reads an unquoted 1 as a number; a cell holds text."""


class ReadOptions(BaseModel):
    """How a table is to be read where it does not say so itself.

    Attributes
    ----------
    columns
        Manifest column to the header that holds it: ``{patient_id: "Fall-Nr."}``. For a table with one row a level also ``level``
        and ``bmd``.
    modality
        Of every row, for a table without such a column (a list of DXA results).
    delimiter, encoding, decimal, date_order
        Otherwise found from the file, and refused where it proves nothing.
    bmd_unit
        Of the BMD columns whose header states no unit.
    labels, sexes, modalities, devices
        What cells mean: ``labels: {"0": normal, "1": osteoporosis}``, ``devices: {"Raum 3": Hologic}``.
    missing
        Further cells that mean "not known": ``["-999"]``.
    keep_conflicting_labels
        A label that contradicts its T-score is an error; True keeps the label as given (it may rest on the hip) and reports it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: Mapping[ColumnName, CellText] = {}
    modality: Modality | None = None
    delimiter: Annotated[str, AfterValidator(_delimiter)] | None = None
    encoding: Annotated[str, AfterValidator(_codec)] | None = None
    decimal: Annotated[str, AfterValidator(_decimal)] | None = None
    date_order: DateOrder | None = None
    bmd_unit: BmdUnit | None = None
    labels: Mapping[CellText, BoneLabel] = {}
    sexes: Mapping[CellText, Sex] = {}
    modalities: Mapping[CellText, Modality] = {}
    devices: Mapping[CellText, str] = {}
    missing: tuple[CellText, ...] = ()
    keep_conflicting_labels: bool = False


def load_read_options(path: Path) -> ReadOptions:
    """Read ``map.yaml``.

    Raises
    ------
    ManifestError
        Every complaint, with the key it concerns.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(path, [Problem(text=f"cannot be read: {error}")]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ManifestError(path, [Problem(text="not valid YAML", row=mark.line + 1 if mark is not None else None)]) from None
    if not isinstance(content, dict):
        raise ManifestError(path, [Problem(text="must hold keys and values, such as 'columns:'")])
    try:
        return ReadOptions.model_validate(content)
    except ValidationError as error:
        found = [
            Problem(text=item["msg"].removeprefix("Value error, "), column=".".join(str(step) for step in item["loc"] if step != "[key]"))
            for item in error.errors()
        ]
        raise ManifestError(path, found) from None
