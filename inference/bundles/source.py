"""Where a site's bundles come from, and which of them may run: those that come with Osteon, and those of the site's own folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inference.bundles import layout
from inference.bundles.bundle import SHIPPED, Bundle, load_bundle
from inference.bundles.errors import BundleError, BundleNotAllowedError, BundleNotFoundError, BundleNotPinnedError
from inference.bundles.metadata import Kind, OsteonMetadata, TrainedOn


def why_not_allowed(osteon: OsteonMetadata, *, allow_simulated: bool) -> str | None:
    """Why a bundle may not run at a site; None where it may.

    What learned from simulated patients, or predicts from simulated anatomy, needs the site's word. A segmentation trained on simulated
    anatomy does not: it measures nothing, and says in every result what it was trained on.
    """
    if allow_simulated or osteon.trained_on is TrainedOn.PATIENTS:
        return None
    if osteon.trained_on is TrainedOn.SIMULATED_ANATOMY and osteon.kind is Kind.SEGMENTATION:
        return None
    return (
        f"{osteon.name} {osteon.version} was trained on {osteon.trained_on.words}, not on patients; "
        "to run it nevertheless set bundles.allow_simulated in config.yaml, or give --allow-simulated"
    )


@dataclass(frozen=True, kw_only=True)
class BundleEntry:
    """One bundle that was found: the verified bundle, None where it is not whole, and why it may not run, None where it may."""

    folder: Path
    shipped: bool
    bundle: Bundle | None
    problem: str | None


@dataclass(frozen=True, kw_only=True)
class BundleSource:
    """A site's bundles.

    Attributes
    ----------
    folder
        Of the site; None or absent where it has none. Each subfolder is a bundle.
    pinned
        SHA-256 by bundle name: only the bundle with this hash may bear the name.
    allow_simulated
        Whether what was trained on simulated patients may run.
    shipped
        Folder of the bundles that come with Osteon.
    """

    folder: Path | None = None
    pinned: Mapping[str, str] = field(default_factory=dict)
    allow_simulated: bool = False
    shipped: Path = SHIPPED

    def open(self, name: str) -> Bundle:
        """The bundle of this name, verified and allowed: the pinned one, else the highest version, else the one that comes with Osteon.

        Raises
        ------
        BundleNotFoundError
            There is none.
        BundleError
            It is damaged; an older one is not taken in its stead.
        BundleNotPinnedError
            Another is pinned.
        BundleNotAllowedError
            The site does not allow what it was trained on.
        """
        folders = [folder for folder in self._folders() if _may_be(folder, name)]
        if not folders:
            known = ", ".join(sorted({folder.name for folder in self._folders()})) or "none"
            raise BundleNotFoundError(f"there is no bundle {name!r}; in the folders: {known}. osteon bundles install FILE adds one")
        pin = self.pinned.get(name)
        bundle = load_bundle(max(folders, key=_version)) if pin is None else self._pinned(name, folders, pin.lower())
        reason = why_not_allowed(bundle.metadata.osteon, allow_simulated=self.allow_simulated)
        if reason is not None:
            raise BundleNotAllowedError(reason)
        return bundle

    def entries(self) -> tuple[BundleEntry, ...]:
        """Every bundle, those that come with Osteon first; each is verified."""
        return tuple(self.entry(folder) for folder in self._folders())

    def named(self, name: str) -> tuple[BundleEntry, ...]:
        """The bundles of this name, each verified."""
        return tuple(self.entry(folder) for folder in self._folders() if _may_be(folder, name))

    def entry(self, folder: Path) -> BundleEntry:
        """What a folder holds, and whether this site would run it."""
        shipped = folder.parent == self.shipped
        try:
            bundle = load_bundle(folder)
        except BundleError as error:
            return BundleEntry(folder=folder, shipped=shipped, bundle=None, problem=error.text)
        pin = self.pinned.get(bundle.name)
        other = None if pin is None or pin.lower() == bundle.sha256 else f"config.yaml pins another {bundle.name}: {pin.lower()}"
        problem = other or why_not_allowed(bundle.metadata.osteon, allow_simulated=self.allow_simulated)
        return BundleEntry(folder=folder, shipped=shipped, bundle=bundle, problem=problem)

    def _folders(self) -> list[Path]:
        roots = [self.shipped] if self.folder is None else [self.shipped, self.folder]
        return [
            path
            for root in roots
            if root.is_dir()
            for path in sorted(root.iterdir())
            if path.is_dir() and not path.name.startswith((".", "_"))
        ]

    def _pinned(self, name: str, folders: list[Path], pin: str) -> Bundle:
        found = [self.entry(folder) for folder in folders]
        for entry in found:
            if entry.bundle is not None and entry.bundle.sha256 == pin:
                return entry.bundle
        seen = "; ".join(f"{entry.folder.name}: {entry.bundle.sha256 if entry.bundle else entry.problem}" for entry in found)
        raise BundleNotPinnedError(f"config.yaml pins {name} with sha256 {pin}, which is not among: {seen}")


def _stated(folder: Path) -> tuple[str, str]:
    """Name and version that the metadata state, unverified; empty where they cannot be read."""
    try:
        content = json.loads((folder / layout.METADATA).read_text(encoding="utf-8"))
        return str(content["name"]), str(content["version"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "", ""


def _may_be(folder: Path, name: str) -> bool:
    """Whether a folder holds the bundle of this name; a damaged one counts by its folder, so that damage is not passed over."""
    stated = _stated(folder)[0]
    return stated == name if stated else folder.name == name or folder.name.startswith(f"{name}-")


def _version(folder: Path) -> tuple[int, ...]:
    numbers = _stated(folder)[1].split(".")
    return tuple(int(number) for number in numbers) if all(number.isdecimal() for number in numbers) else (10**9,)
