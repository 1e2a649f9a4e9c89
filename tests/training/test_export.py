"""From a trained network to a bundle: whole or not at all, the same numbers, and readable by MONAI's own tools."""

from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser, verify_net_in_out

from inference.bundles import Kind, Metric, NetworkDefinition, load_network
from inference.bundles.layout import CARD, INFERENCE, LICENCE, METADATA, WEIGHTS
from tests.training.bundle_example import PUBLICATION, UNET, metadata, tiny_network, write_bundle
from training.errors import TrainingError
from training.export import Publication, bundle_metadata, export_bundle
from training.model_card import model_card

pytestmark = pytest.mark.unit

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16


def test_weights_come_back_bit_for_bit(tmp_path: Path) -> None:
    model, loaded = tiny_network(), load_network(write_bundle(tmp_path / "tiny"))
    given, found = model.state_dict(), loaded.state_dict()
    assert given.keys() == found.keys()
    assert all(torch.equal(given[name], found[name]) for name in given)


def test_the_same_model_gives_the_same_bundle(tmp_path: Path) -> None:
    assert write_bundle(tmp_path / "a").sha256 == write_bundle(tmp_path / "b").sha256
    assert write_bundle(tmp_path / "c", limits=("Another.",)).sha256 != write_bundle(tmp_path / "d").sha256


def test_half_precision_halves_the_file_and_hardly_moves_the_output(tmp_path: Path) -> None:
    whole, half = write_bundle(tmp_path / "whole"), write_bundle(tmp_path / "half", weights_dtype="float16")
    assert half.weights_path.stat().st_size < 0.6 * whole.weights_path.stat().st_size
    image = torch.rand(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        expected, found = load_network(whole)(image), load_network(half)(image)
    assert next(load_network(half).parameters()).dtype == torch.float32
    assert not torch.equal(expected, found)
    assert float((expected - found).abs().max()) < 0.01 * float(expected.abs().max())


def test_half_precision_that_moves_the_output_too_far_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.export.FLOAT16_TOLERANCE", 1e-6)
    with pytest.raises(TrainingError, match="stored as float16, the network's output moves by"):
        write_bundle(tmp_path / "half", weights_dtype="float16")
    assert list(tmp_path.iterdir()) == []


def test_weights_beyond_half_precision_are_refused(tmp_path: Path) -> None:
    model = tiny_network()
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = 1e6
    with pytest.raises(TrainingError, match=r"the bundle would be refused: .* holds NaN or infinity"):
        export_bundle(model, metadata(weights_dtype="float16"), UNET, PUBLICATION, tmp_path / "half")


def test_running_statistics_stay_whole_beside_half_precision(tmp_path: Path) -> None:
    """A variance of activations of some hundreds lies beyond float16, which ends at 65504."""
    batch = NetworkDefinition(architecture="unet", arguments={**UNET.arguments, "norm": "batch"})
    model = batch.build().eval()
    name = next(name for name in model.state_dict() if name.endswith(".running_var"))
    model.state_dict()[name].fill_(272_147.0)
    bundle = export_bundle(model, metadata(weights_dtype="float16"), batch, PUBLICATION, tmp_path / "half")
    stored = load_network(bundle).state_dict()
    assert torch.equal(stored[name], model.state_dict()[name])


def test_a_network_that_is_not_the_one_described_is_refused(tmp_path: Path) -> None:
    other = NetworkDefinition(architecture="unet", arguments={**UNET.arguments, "num_res_units": 2})
    with pytest.raises(TrainingError, match=r"the bundle would be refused: the tensor .* the architecture unet"):
        export_bundle(tiny_network(), metadata(), other, PUBLICATION, tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []


def test_a_network_with_the_right_weights_that_computes_otherwise_is_refused(tmp_path: Path) -> None:
    other = NetworkDefinition(architecture="unet", arguments={**UNET.arguments, "adn_ordering": "AND", "norm": "INSTANCE"})
    with pytest.raises(TrainingError, match="stored as float32, the network's output moves by"):
        export_bundle(tiny_network(), metadata(), other, PUBLICATION, tmp_path / "tiny")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "tiny")
    with pytest.raises(TrainingError, match="bundles are never overwritten: delete it, or give the model a new version"):
        write_bundle(tmp_path / "tiny", limits=("Another.",))
    assert write_bundle(tmp_path / "again").sha256 == bundle.sha256


def test_a_changelog_without_this_version_is_refused() -> None:
    publication = Publication(task="Test", description="Test.", changelog={"0.9.0": "Before."})
    with pytest.raises(TrainingError, match=r"the changelog has no entry for version 1.0.0"):
        bundle_metadata(metadata(), publication)


def test_another_licence_needs_its_text(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"the licence is CC-BY-4.0: give its text"):
        write_bundle(tmp_path / "tiny", licence="CC-BY-4.0")
    publication = Publication(task="Test", description="Test.", changelog={"1.0.0": "First."}, licence="All of it.\n")
    bundle = export_bundle(tiny_network(), metadata(licence="CC-BY-4.0"), UNET, publication, tmp_path / "tiny")
    assert (bundle.folder / LICENCE).read_text() == "All of it.\n"


def test_the_model_keeps_its_place_and_mode(tmp_path: Path) -> None:
    model = tiny_network().train()
    export_bundle(model, metadata(), UNET, PUBLICATION, tmp_path / "tiny")
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_monai_builds_and_verifies_the_network(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny").folder
    files = {"meta_file": str(folder / METADATA), "config_file": str(folder / INFERENCE)}
    verify_net_in_out("network_def", **files, device="cpu", n=4)
    parser = ConfigParser()
    parser.read_config(files["config_file"])
    parser.read_meta(files["meta_file"])
    network = parser.get_parsed_content("network_def")
    assert network.state_dict().keys() == tiny_network().state_dict().keys()
    assert parser["_meta_#network_data_format#outputs#pred#channel_def"] == {"0": "background", "1": "body", "2": "disc"}


def test_the_card_says_what_a_site_must_know(tmp_path: Path) -> None:
    curve = tmp_path / "curve.png"
    curve.write_bytes(PNG)
    publication = Publication(task="Test", description="Test.", changelog={"1.0.0": "First."}, pictures={"curve.png": curve})
    about = metadata(kind=Kind.CLASSIFICATION, priors=(0.5, 0.3, 0.2), tau1=1.0)
    bundle = export_bundle(tiny_network(), about, UNET, publication, tmp_path / "tiny")
    card = (bundle.folder / CARD).read_text()
    for text in (
        "# Model card: tiny 1.0.0",
        "Does not replace DXA",
        "## Intended use\n\nTests.",
        "- Not trained at all.",
        "Trained on simulated anatomy",
        "osteon train tiny",
        "| Dice | 0.5 | 0.4 to 0.6 | 3 | three simulated scans |",
        "tau1 1 in the loss, tau2 none post hoc",
        f"- `{WEIGHTS}`: sha256 `{bundle.weights_sha256}`",
        f"{bundle.parameters:,} parameters",
        "![curve](curve.png)",
    ):
        assert text in card
    assert (bundle.folder / "docs" / "curve.png").read_bytes() == PNG


def test_a_metric_without_interval_and_no_metric_are_said() -> None:
    hashes = dict.fromkeys((WEIGHTS, METADATA, INFERENCE), "0" * 64)
    bare = bundle_metadata(metadata(metrics=(Metric(name="AUC", value=0.912345, cases=7, data="x"),)), PUBLICATION)
    assert "| AUC | 0.912 | - | 7 | x |" in model_card(bare, UNET, 1, hashes)
    assert "None was recorded" in model_card(bundle_metadata(metadata(metrics=()), PUBLICATION), UNET, 1, hashes)
