"""What the chest workflow says about a study beside its outcome: every film's decision."""

from dataclasses import dataclass

from inference.cxr.recognise import FilmDecision


@dataclass(frozen=True, kw_only=True)
class CxrFindings:
    """One study of chest films.

    Attributes
    ----------
    films
        Every film's decision, in the order of the study; at most one is used.
    """

    films: tuple[FilmDecision, ...]

    @property
    def used(self) -> FilmDecision | None:
        """The film that is measured."""
        return next((film for film in self.films if film.used), None)
