"""One study, from its files to its result objects: what the worker and ``osteon process`` both do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.findings import Findings
from inference.reading import InstanceHeader
from node.config import Config
from node.results.objects import ResultObject
from node.routing import Decision


@dataclass(frozen=True, kw_only=True)
class ProcessedStudy:
    """What was found, and the objects that say so."""

    decision: Decision
    findings: Findings
    objects: tuple[ResultObject, ...]
    picture_png: Path | None


def process_study(headers: Sequence[InstanceHeader], decision: Decision, config: Config, out_dir: Path) -> ProcessedStudy:
    """Run the decided workflow over one study and write its result objects into ``out_dir``."""
    raise NotImplementedError
