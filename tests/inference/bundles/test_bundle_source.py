"""Which bundle of a name runs at a site, and which may not."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from inference.bundles import (
    Bundle,
    BundleError,
    BundleNotAllowedError,
    BundleNotFoundError,
    BundleSource,
    Kind,
    TrainedOn,
    why_not_allowed,
)
from inference.bundles.layout import METADATA
from inference.errors import ReasonCode
from tests.training.bundle_example import PUBLICATION, UNET, metadata, tiny_network
from training.export import Publication, export_bundle

pytestmark = pytest.mark.unit


def write(folder: Path, version: str = "1.0.0", **changes: Any) -> Bundle:
    publication = Publication(task=PUBLICATION.task, description=PUBLICATION.description, changelog={version: "Made."})
    return export_bundle(tiny_network(), metadata(version=version, **changes), UNET, publication, folder)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write(tmp_path_factory.mktemp("shipped") / "tiny")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write(tmp_path_factory.mktemp("site") / "tiny-1.10.0", version="1.10.0")


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write(tmp_path_factory.mktemp("learned") / "tiny", trained_on=TrainedOn.SIMULATED_PATIENTS)


@pytest.fixture
def source(first: Bundle, second: Bundle, tmp_path: Path) -> BundleSource:
    """One bundle that comes with Osteon, and of the site a copy that may be spoiled."""
    shutil.copytree(second.folder, tmp_path / "site" / second.folder.name)
    return BundleSource(shipped=first.folder.parent, folder=tmp_path / "site")


@pytest.mark.parametrize(
    ("trained_on", "kind", "needs_word"),
    [
        (TrainedOn.SIMULATED_ANATOMY, Kind.SEGMENTATION, False),
        (TrainedOn.SIMULATED_ANATOMY, Kind.CLASSIFICATION, True),
        (TrainedOn.SIMULATED_PATIENTS, Kind.SEGMENTATION, True),
        (TrainedOn.SIMULATED_PATIENTS, Kind.CLASSIFICATION, True),
        (TrainedOn.PATIENTS, Kind.CLASSIFICATION, False),
    ],
)
def test_what_learned_from_simulation_and_predicts_needs_the_sites_word(trained_on: TrainedOn, kind: Kind, needs_word: bool) -> None:
    about = metadata(trained_on=trained_on, kind=kind)
    reason = why_not_allowed(about, allow_simulated=False)
    assert (reason is not None) == needs_word
    assert reason is None or f"trained on {trained_on.words}, not on patients" in reason
    assert why_not_allowed(about, allow_simulated=True) is None


def test_the_highest_version_runs(source: BundleSource) -> None:
    assert source.open("tiny").version == "1.10.0"


def test_a_pin_decides(source: BundleSource, first: Bundle) -> None:
    pinned = BundleSource(shipped=source.shipped, folder=source.folder, pinned={"tiny": first.sha256.upper()})
    assert pinned.open("tiny").version == "1.0.0"
    assert [entry.problem is None for entry in pinned.entries()] == [True, False]


def test_a_pin_that_nothing_meets_stops_the_bundle(source: BundleSource, first: Bundle) -> None:
    pinned = BundleSource(shipped=source.shipped, folder=source.folder, pinned={"tiny": "0" * 64})
    with pytest.raises(BundleNotAllowedError, match=rf"pins tiny with sha256 0{{64}}, which is not among: tiny: {first.sha256}") as caught:
        pinned.open("tiny")
    assert caught.value.code is ReasonCode.BUNDLE_NOT_ALLOWED


def test_an_older_bundle_does_not_stand_in_for_a_damaged_one(source: BundleSource) -> None:
    assert source.folder is not None
    card = source.folder / "tiny-1.10.0" / "docs" / "README.md"
    card.write_text(card.read_text() + "changed\n")
    with pytest.raises(BundleError, match=r"docs/README.md has changed"):
        source.open("tiny")
    assert [entry.bundle is None for entry in source.entries()] == [False, True]


def test_a_bundle_whose_metadata_are_gone_counts_by_its_folder(source: BundleSource) -> None:
    assert source.folder is not None
    (source.folder / "tiny-1.10.0" / METADATA).unlink()
    assert [entry.bundle is None for entry in source.named("tiny")] == [False, True]
    with pytest.raises(BundleError, match=r"configs/metadata.json is missing"):
        source.open("tiny")


def test_what_was_trained_on_simulated_patients_waits_for_the_site(learned: Bundle) -> None:
    silent = BundleSource(shipped=learned.folder.parent)
    with pytest.raises(BundleNotAllowedError, match=r"trained on simulated patients, not on patients; .* bundles.allow_simulated"):
        silent.open("tiny")
    assert silent.entries()[0].problem is not None
    allowed = BundleSource(shipped=learned.folder.parent, allow_simulated=True)
    assert allowed.open("tiny").model_used.trained_on == "simulated patients"


def test_a_name_that_nobody_has_is_said(source: BundleSource) -> None:
    with pytest.raises(BundleNotFoundError, match=r"there is no bundle 'chest'; in the folders: tiny, tiny-1.10.0"):
        source.open("chest")


def test_a_site_without_a_folder_has_what_comes_with_osteon(first: Bundle, tmp_path: Path) -> None:
    for folder in (None, tmp_path / "not yet"):
        source = BundleSource(shipped=first.folder.parent, folder=folder)
        assert [entry.shipped for entry in source.entries()] == [True]
        assert source.open("tiny").sha256 == first.sha256
