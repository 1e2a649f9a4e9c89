"""Many simulated patients on disk: in several processes, and again from where an interrupted run ended."""

from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from training.errors import TrainingError
from training.simulation.patient_folder import PatientRequest, kept_truth, write_patient
from training.simulation.truth_file import PatientFile
from training.workers import worker_pool

PATIENTS = "patients"
"""The folder of the patients' folders."""


def patient_folder(out: Path, request: PatientRequest) -> Path:
    """Where a patient is written."""
    return out / PATIENTS / request.person.folder


def run_cohort(
    requests: Sequence[PatientRequest], out: Path, *, jobs: int = 1, advance: Callable[[PatientFile], None] | None = None
) -> list[PatientFile]:
    """Write every patient that is not complete yet, and return the truth of all, in order.

    Parameters
    ----------
    jobs
        Processes. The files do not depend on it.
    advance
        Called with each patient as it is there, kept ones first.

    Raises
    ------
    TrainingError
        A folder holds another cohort (found before anything is written), the disk is full, or a process died.
    """
    done = advance or _nothing
    kept = {index: truth for index, request in enumerate(requests) if (truth := kept_truth(request, patient_folder(out, request)))}
    for truth in kept.values():
        done(truth)
    missing = [index for index in range(len(requests)) if index not in kept]
    try:
        (out / PATIENTS).mkdir(parents=True, exist_ok=True)
        made = _write(requests, missing, out, jobs, done)
    except OSError as error:
        raise TrainingError(f"{out}: {error.strerror or error}; the patients that are complete are kept") from None
    except BrokenProcessPool:
        text = "a process died, most likely for want of memory; run the same command with fewer --jobs or a larger --spacing"
        raise TrainingError(f"{text}, and it goes on where it ended") from None
    return [kept[index] if index in kept else made[index] for index in range(len(requests))]


def _write(
    requests: Sequence[PatientRequest], missing: Sequence[int], out: Path, jobs: int, done: Callable[[PatientFile], None]
) -> dict[int, PatientFile]:
    made: dict[int, PatientFile] = {}
    if jobs == 1 or len(missing) <= 1:
        for index in missing:
            made[index] = write_patient(requests[index], patient_folder(out, requests[index]))
            done(made[index])
        return made
    with worker_pool(min(jobs, len(missing))) as pool:
        futures = {pool.submit(write_patient, requests[index], patient_folder(out, requests[index])): index for index in missing}
        try:
            for future in as_completed(futures):
                made[futures[future]] = future.result()
                done(made[futures[future]])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return made


def _nothing(_: PatientFile) -> None:
    return
