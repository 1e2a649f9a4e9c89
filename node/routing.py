"""Which workflow a study gets: a pure function of (headers, routes), and its reasons in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.findings import Reason
from inference.reading import InstanceHeader
from node.config import Route


@dataclass(frozen=True, kw_only=True)
class Considered:
    """One route, and why it did or did not match."""

    route: str
    matched: bool
    because: str


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The route of a study. ``reason`` is set exactly when no route matched."""

    study_instance_uid: str
    route: str | None
    workflow: str | None
    destinations: tuple[str, ...]
    on_refusal: str
    considered: tuple[Considered, ...]
    reason: Reason | None


def decide(
    headers: Sequence[InstanceHeader],
    routes: Sequence[Route],
    calling_ae_titles: frozenset[str] = frozenset(),
    called_ae_titles: frozenset[str] = frozenset(),
) -> Decision:
    """Decide the route of one study."""
    raise NotImplementedError
