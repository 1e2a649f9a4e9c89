"""Deterministic UIDs: the same input, models and configuration give the same objects, so a retry or a re-send makes no duplicate."""

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from inference.findings import Findings
from node.results.objects import ResultContext


@dataclass(frozen=True, kw_only=True)
class ResultKey:
    """Everything that may change what the objects of a study say, as one hash."""

    digest: str

    def uid(self, purpose: str) -> str:
        """The UID of one thing (``"seg instance"``, ``"sr series"``, ``"tracking 3"``) made from this input."""
        return derived_uid(self.digest, purpose)


def derived_uid(*parts: str) -> str:
    """A UID under 2.25 (PS3.5 B.2) from a name-based UUID: 122 bits of the SHA-256 of ``parts`` (RFC 9562, version 8)."""
    digest = hashlib.sha256("\n".join(parts).encode()).digest()
    number = int.from_bytes(digest[:16], "big")
    number = number & ~(0xF << 76) | 8 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return f"2.25.{uuid.UUID(int=number).int}"


def result_key(findings: Findings, input_sop_instance_uids: Iterable[str], context: ResultContext) -> ResultKey:
    """The key of a study's result objects.

    The outcome and its reason are part of it: a study that ran out of time and is measured on the second try must not send its result
    under the UIDs of its refusal.
    """
    parts = [
        "osteon results 1",
        *sorted(set(input_sop_instance_uids)),
        "models",
        *sorted(model.sha256 for model in findings.models),
        "made by",
        context.software_version,
        context.config_sha256,
        findings.workflow,
        findings.outcome,
        findings.reason.code if findings.reason else "",
        findings.density_class.because if findings.density_class else "",
        *([findings.experts.because] if findings.experts else []),
        *_references(findings),
    ]
    return ResultKey(digest=hashlib.sha256("\n".join(parts).encode()).hexdigest())


def _references(findings: Findings) -> list[str]:
    """The references behind T-scores of a chest film: a site's own table lies outside of the configuration's hash."""
    measurement = findings.cxr.measurement if findings.cxr is not None else None
    return [] if measurement is None else [level.because for level in measurement.reading.levels]
