"""The optional package TotalSegmentator as a segmenter (Wasserthal 2023, Apache-2.0; ``pip install 'osteon[totalsegmentator]'``).

The package runs in a process of its own (:mod:`inference.ct.segmentation.totalsegmentator_process`): it is steered by environment
variables, ends the process where something is amiss, and would fetch weights and send usage statistics over the network, which that
process cannot reach. Here only its tables are imported, which need nothing else.
"""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.ct.segmentation.base import Segmentation
from inference.ct.segmentation.from_labels import Labels, segmentation_from_labels
from inference.ct.segmentation.numbering import Numbering, numbering_from_names
from inference.ct.segmentation.options import TotalSegmentatorOptions
from inference.errors import PermanentError, ReasonCode, Refusal
from inference.findings import ModelUsed
from inference.volume import Volume

log = logging.getLogger(__name__)

PACKAGE, DISTRIBUTION = "totalsegmentator", "TotalSegmentator"
PROCESS = "inference.ct.segmentation.totalsegmentator_process"
CROP_TASK = 298
"""The 6 mm model that the package runs first when it is asked for a part of the classes."""
CHECKPOINT = "checkpoint_final.pth"


@dataclass(frozen=True)
class TotalSegmentator:
    """Runs TotalSegmentator; see :class:`inference.ct.segmentation.base.Segmenter`.

    Attributes
    ----------
    max_slice_spacing_mm
        Coarser scans are refused.

    Raises
    ------
    Refusal
        ``SEGMENTER_UNAVAILABLE``: the package or its weights are absent, or it has no such task.
    """

    options: TotalSegmentatorOptions
    max_slice_spacing_mm: float = 5.0

    def __post_init__(self) -> None:
        _ = self.numbering, self.checkpoints  # in this order: without the package there are no tables to find weights by

    @cached_property
    def numbering(self) -> Numbering:
        """What the task's labels mean, by the package's own label map."""
        return numbering_from_names(f"{PACKAGE} {self.options.task}", label_map(self.options.task))

    @cached_property
    def checkpoints(self) -> tuple[Path, ...]:
        """The files of weights that the task needs."""
        return find_weights(self.options, self.wanted)

    @cached_property
    def wanted(self) -> tuple[str, ...]:
        """The structures that are asked for; empty for all, which is what one small model gives at once."""
        if self.options.fast or not self.options.task.startswith("total"):
            return ()
        spine = {*self.numbering.vertebrae, *self.numbering.sacrum, *self.numbering.twelfth_ribs}
        return tuple(name for label, name in sorted(label_map(self.options.task).items()) if label in spine)

    @cached_property
    def model(self) -> ModelUsed:
        """The package's version, and a hash over its weights and the task."""
        digest = hashlib.sha256(f"{self.options.task} {self.options.fast}".encode())
        for checkpoint in self.checkpoints:
            with checkpoint.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        trained_on = "weights that the site supplies; those its authors publish were trained on patients (Wasserthal 2023)"
        version = importlib.metadata.version(DISTRIBUTION)
        return ModelUsed(name=f"TotalSegmentator-{self.options.task}", version=version, sha256=digest.hexdigest(), trained_on=trained_on)

    def segment(self, volume: Volume) -> Segmentation:
        """The bodies of the vertebrae that the package sees. Its level names are certain only beside its own sacrum or twelfth ribs.

        Raises
        ------
        Refusal
            ``SLICES_TOO_THICK``, ``SPINE_NOT_FOUND``, ``MASK_MISMATCH``, ``OUT_OF_TIME``.
        PermanentError
            The package failed.
        """
        spacing = max(volume.spacing_mm)
        if spacing > self.max_slice_spacing_mm + 1e-3:
            text = f"slices lie {spacing:.1f} mm apart; at most {self.max_slice_spacing_mm:.1f} mm can be measured"
            raise Refusal(ReasonCode.SLICES_TOO_THICK, text)
        labels = run_package(volume, self.options, self.wanted)
        return segmentation_from_labels(volume, labels, self.numbering, model=self.model, by_program=True)


def is_installed() -> bool:
    """Whether the package is there; it is not imported."""
    return importlib.util.find_spec(PACKAGE) is not None


def label_map(task: str) -> Mapping[int, str]:
    """The package's names by label.

    Raises
    ------
    Refusal
        ``SEGMENTER_UNAVAILABLE``: the package is absent, or its task has no vertebrae.
    """
    if not is_installed():
        text = "the package TotalSegmentator is not installed: pip install 'osteon[totalsegmentator]' (docs/segmenters.md)"
        raise Refusal(ReasonCode.SEGMENTER_UNAVAILABLE, text)
    maps: dict[str, dict[int, str]] = importlib.import_module(f"{PACKAGE}.map_to_binary").class_map
    names = maps.get(task, {})
    if not numbering_from_names(task, names).vertebrae:
        raise Refusal(ReasonCode.SEGMENTER_UNAVAILABLE, f"the task {task!r} of TotalSegmentator does not tell vertebrae apart")
    return names


def needed_tasks(options: TotalSegmentatorOptions, wanted: tuple[str, ...]) -> tuple[int, ...]:
    """The numbers of the package's models that a task runs.

    Parameters
    ----------
    wanted
        The structures that are asked for; empty for all.
    """
    tables: Any = importlib.import_module(f"{PACKAGE}.map_tasks_config")
    parts: Any = importlib.import_module(f"{PACKAGE}.map_to_binary")
    config = tables.TASK_CONFIGS[options.task]
    if "sub_modes" in config:
        config = config["sub_modes"]["fast" if options.fast else "default"]
    tasks = config["task_id"]
    if not isinstance(tasks, list):
        return (tasks,)
    if not wanted:
        return tuple(tasks)
    names = {**parts.map_taskid_to_partname_ct, **parts.map_taskid_to_partname_ct_v3}
    classes = parts.class_map_5_parts_total_v3 if options.task == "total_v3" else parts.class_map_5_parts
    return (CROP_TASK, *(task for task in tasks if set(classes[names[task]].values()) & set(wanted)))


def find_weights(options: TotalSegmentatorOptions, wanted: tuple[str, ...]) -> tuple[Path, ...]:
    """The checkpoints of a task.

    Raises
    ------
    Refusal
        ``SEGMENTER_UNAVAILABLE``: any is absent, with what to do.
    """
    tables: Any = importlib.import_module(f"{PACKAGE}.map_tasks_config")
    found: list[Path] = []
    for task in needed_tasks(options, wanted):
        entry = tables.TASK_ID_WEIGHTS_CONFIGS[task]
        folder = options.weights / entry.get("rel_path", "") / entry["foldername"]
        checkpoints = sorted(folder.glob(f"*/fold_*/{CHECKPOINT}"))
        if not checkpoints:
            text = (
                f"the weights {entry['foldername']} of TotalSegmentator are absent from the folder of its weights; Osteon downloads none: "
                f"fetch them where the network allows (totalseg_download_weights -t {options.task}) and copy them there"
            )
            raise Refusal(ReasonCode.SEGMENTER_UNAVAILABLE, text)
        found.extend(checkpoints)
    return tuple(found)


def run_package(volume: Volume, options: TotalSegmentatorOptions, wanted: tuple[str, ...]) -> Labels:
    """The package's labels on the volume's grid, by a process of its own that ends with this one.

    Raises
    ------
    Refusal
        ``OUT_OF_TIME``.
    PermanentError
        The package failed.
    """
    with tempfile.TemporaryDirectory(prefix="osteon-totalsegmentator-") as name:
        folder = Path(name)
        np.save(folder / "hu.npy", volume.hu)
        asked = {"task": options.task, "fast": options.fast, "device": options.device, "roi_subset": list(wanted) or None}
        (folder / "asked.json").write_text(json.dumps({**asked, "ras_affine": ras_affine(volume).tolist()}))
        (folder / "config.json").write_text(json.dumps(QUIET_CONFIG))
        command = [sys.executable, "-m", PROCESS, str(folder)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=_environment(options, folder)
        ) as process:
            try:
                said = _wait(process, options.time_limit_s)
            except subprocess.TimeoutExpired:
                text = f"TotalSegmentator did not end within {options.time_limit_s:.0f} s"
                raise Refusal(ReasonCode.OUT_OF_TIME, text) from None
        if process.returncode != 0:
            last = next((line for line in reversed(said.splitlines()) if line.strip()), "no word")
            log.error("TotalSegmentator failed with exit code %d:\n%s", process.returncode, said)
            raise PermanentError(f"TotalSegmentator failed (exit code {process.returncode}): {last.strip()}")
        labels: NDArray[np.uint8] = np.load(folder / "labels.npy")
    return np.ascontiguousarray(labels.transpose(2, 1, 0))


QUIET_CONFIG = {"totalseg_id": "", "send_usage_stats": False, "prediction_counter": 0, "statistics_disclaimer_shown": True}
"""The package's own settings file with its usage statistics off."""


def _environment(options: TotalSegmentatorOptions, folder: Path) -> dict[str, str]:
    """This process's environment with the package's two documented variables; its weights folder serves nnU-Net, too."""
    return {**os.environ, "TOTALSEG_WEIGHTS_PATH": str(options.weights.resolve()), "TOTALSEG_HOME_DIR": str(folder)}


def _wait(process: "subprocess.Popen[bytes]", time_limit_s: float) -> str:
    """What the process said, once it has ended; its standard input stays open so that it ends with us.

    Raises
    ------
    subprocess.TimeoutExpired
        It has not ended in time; it is ended, with what it started.
    """
    said: list[bytes] = []
    pipe = process.stdout
    reader = threading.Thread(target=lambda: said.append(pipe.read() if pipe is not None else b""), name="totalsegmentator-output")
    reader.start()
    try:
        process.wait(time_limit_s)
    finally:
        if process.stdin is not None:
            process.stdin.close()  # the process ends itself and what it started
        process.wait()
        reader.join()
    return b"".join(said).decode(errors="replace")


def ras_affine(volume: Volume) -> NDArray[np.float64]:
    """(4, 4) of the array with its axes reversed (columns, rows, slices) to RAS mm, which is how NIfTI images are held."""
    affine = volume.affine[:, [2, 1, 0, 3]]
    return np.asarray(np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)
