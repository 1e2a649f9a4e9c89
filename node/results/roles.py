"""The part that each algorithm had in a result."""

from typing import Final

from inference.findings import Findings, ModelUsed

ALGORITHM: Final = "Algorithm"
SECOND_READER: Final = "Second reader"
CLASSIFIER: Final = "Density classifier"
EXPERTS: Final = "Reader of every vertebra"
LANDMARKS: Final = "Finder of landmarks"
CONTRIBUTION: Final = {
    ALGORITHM: "Processing algorithm.",
    SECOND_READER: "Second reader: compared with the measurement, measured nothing.",
    CLASSIFIER: "Density classifier: predicted a class beside the measurement, measured nothing.",
    EXPERTS: "Reader of every vertebra: predicted density and position beside the measurement, measured nothing.",
    LANDMARKS: "Finder of landmarks: framed the regions of bone that were read.",
}
"""In the words of Contribution Description (0018,A003)."""


def role_of(model: ModelUsed, findings: Findings) -> str:
    """What measured is the ``Algorithm``; the others have names of their own."""
    if findings.second_reader is not None and model == findings.second_reader.model:
        return SECOND_READER
    if findings.density_class is not None and model == findings.density_class.model:
        return CLASSIFIER
    if findings.experts is not None and model == findings.experts.model:
        return EXPERTS
    measurement = findings.cxr.measurement if findings.cxr is not None else None
    if measurement is not None and model == measurement.landmark_model:
        return LANDMARKS
    return ALGORITHM
