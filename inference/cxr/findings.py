"""What the chest workflow says about a study beside its outcome: every film's decision, and what models say of the used one."""

from dataclasses import dataclass

from inference.cxr.estimated import FilmEstimate
from inference.cxr.recognise import FilmDecision
from inference.cxr.words import PatientReading, Thresholds
from inference.findings import ModelUsed


@dataclass(frozen=True, kw_only=True)
class CxrMeasurement:
    """What models say of the used film.

    Attributes
    ----------
    estimate
        Landmarks and regions in pixels of the film in its one form, densities, and what each region gave.
    reading, limits
        In words, against which thresholds.
    densitometer
        Make on whose scale the densities are; None where the bundle does not say.
    landmark_model, density_model
        The two bundles.
    """

    estimate: FilmEstimate
    reading: PatientReading
    limits: Thresholds
    densitometer: str | None
    landmark_model: ModelUsed
    density_model: ModelUsed


@dataclass(frozen=True, kw_only=True)
class CxrFindings:
    """One study of chest films.

    Attributes
    ----------
    films
        Every film's decision, in the order of the study; at most one is used.
    measurement
        What models say of it; None where none could or might.
    """

    films: tuple[FilmDecision, ...]
    measurement: CxrMeasurement | None = None

    @property
    def used(self) -> FilmDecision | None:
        """The film that is measured."""
        return next((film for film in self.films if film.used), None)
