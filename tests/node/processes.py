"""What the tests let a worker run instead of the real workflow: quick, and able to crash on demand. Named as ``module:function``."""

import hashlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian, SegmentationStorage

from inference.errors import ReasonCode, Refusal
from inference.findings import Findings, Outcome
from inference.reading import InstanceHeader
from node.config import Config
from node.errors import StorageError
from node.pipeline import ProcessedStudy
from node.results.objects import ResultKind, ResultObject
from node.routing import Decision


def results_of(headers: Sequence[InstanceHeader], decision: Decision, config: Config, out_dir: Path) -> ProcessedStudy:
    """A SEG and an SR whose UIDs follow from the instances that were there."""
    del config
    assert all(header.path is not None and header.path.is_file() for header in headers)
    objects = [_write(kind, headers, out_dir) for kind in ("sr", "seg")]
    findings = Findings(study_instance_uid=decision.study_instance_uid, workflow="ct", outcome=Outcome.RESULT, reason=None)
    picture = out_dir / "page.png"
    picture.write_bytes(b"not a picture")
    return ProcessedStudy(decision=decision, findings=findings, objects=tuple(objects), picture_png=picture)


def slow(headers: Sequence[InstanceHeader], decision: Decision, config: Config, out_dir: Path) -> ProcessedStudy:
    """The same, after writing half and working for 2 s."""
    (out_dir / "half-written").write_bytes(b"x")
    time.sleep(2)
    (out_dir / "half-written").unlink()
    return results_of(headers, decision, config, out_dir)


def endless(headers: Sequence[InstanceHeader], decision: Decision, config: Config, out_dir: Path) -> ProcessedStudy:
    """Works for longer than any test."""
    time.sleep(600)
    return results_of(headers, decision, config, out_dir)


def endless_for_two(headers: Sequence[InstanceHeader], decision: Decision, config: Config, out_dir: Path) -> ProcessedStudy:
    """Endless for a study of two instances, quick for others."""
    return (endless if len(headers) == 2 else results_of)(headers, decision, config, out_dir)


def crash(headers: Sequence[InstanceHeader], decision: Decision, config: Config, out_dir: Path) -> ProcessedStudy:
    """Dies as a fault in C does."""
    os.kill(os.getpid(), signal.SIGSEGV)
    return results_of(headers, decision, config, out_dir)


def crash_on_two(headers: Sequence[InstanceHeader], decision: Decision, config: Config, out_dir: Path) -> ProcessedStudy:
    """Dies for a study of two instances, quick for others."""
    return (crash if len(headers) == 2 else results_of)(headers, decision, config, out_dir)


def crash_once(headers: Sequence[InstanceHeader], decision: Decision, config: Config, out_dir: Path) -> ProcessedStudy:
    """Dies the first time; a file beside the spool remembers."""
    mark = config.storage.spool.parent / "crashed"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return results_of(headers, decision, config, out_dir)


def hungry(headers: Sequence[InstanceHeader], decision: Decision, config: Config, out_dir: Path) -> ProcessedStudy:
    """Asks for more memory than the limit."""
    eaten = bytearray(config.worker.memory_limit_mb * 2_000_000)
    assert len(eaten) > 0
    return results_of(headers, decision, config, out_dir)


def refuse(headers: Sequence[InstanceHeader], decision: Decision, config: Config, out_dir: Path) -> ProcessedStudy:
    """Raises a refusal."""
    del headers, decision, config, out_dir
    raise Refusal(ReasonCode.NO_SUITABLE_SERIES, "nothing axial")


def defect(headers: Sequence[InstanceHeader], decision: Decision, config: Config, out_dir: Path) -> ProcessedStudy:
    """Raises what no workflow raises on purpose."""
    del headers, decision, config, out_dir
    raise ZeroDivisionError("a defect")


def no_room(headers: Sequence[InstanceHeader], decision: Decision, config: Config, out_dir: Path) -> ProcessedStudy:
    """Raises an error that may pass."""
    del headers, decision, config, out_dir
    raise StorageError("no room")


def _write(kind: ResultKind, headers: Sequence[InstanceHeader], out_dir: Path) -> ResultObject:
    text = kind + "".join(sorted(header.sop_instance_uid for header in headers))
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = SegmentationStorage if kind == "seg" else BasicTextSRStorage
    ds.SOPInstanceUID = f"2.25.{int(hashlib.sha256(text.encode()).hexdigest()[:30], 16)}"
    ds.StudyInstanceUID = headers[0].study_instance_uid
    ds.SeriesInstanceUID = f"{ds.SOPInstanceUID}.1"
    ds.Modality = kind.upper()
    path = out_dir / f"{kind}.dcm"
    dcmwrite(path, ds, enforce_file_format=True)
    return ResultObject(kind=kind, sop_class_uid=str(ds.SOPClassUID), sop_instance_uid=str(ds.SOPInstanceUID), path=path)
