"""``docs/README.md`` of a bundle: the model card, written from the metadata, so that the two cannot differ."""

from collections.abc import Mapping

from inference.bundles import BundleMetadata, Kind, NetworkDefinition, TrainedOn
from inference.bundles.layout import INFERENCE, METADATA, WEIGHTS
from inference.bundles.metadata import Metric, NetworkInput
from inference.findings import RESEARCH_NOTICE
from training.errors import TrainingError

_TRAINED_ON = {
    TrainedOn.SIMULATED_ANATOMY: "simulated anatomy: drawn at random, following no population. No patient's data is in these weights.",
    TrainedOn.SIMULATED_PATIENTS: "simulated patients: outcomes are simulated, too. A site must allow this model, and results say so.",
    TrainedOn.PATIENTS: "patients.",
}

_NORMALISATION = {
    "window_to_minus_one_one": "clipped to the window, then linearly to -1 .. 1",
    "window_to_zero_one": "clipped to the window, then linearly to 0 .. 1",
    "min_max": "each image's own range to 0 .. 1",
    "zero_mean_unit_sd": "each image less its mean, divided by its standard deviation",
    "zero_one": "0 .. 1 as the workflow crops it",
}


def model_card(metadata: BundleMetadata, network: NetworkDefinition, parameters: int, hashes: Mapping[str, str]) -> str:
    """The card in Markdown.

    Parameters
    ----------
    parameters
        How many numbers the network has.
    hashes
        SHA-256 of the bundle's other files by path; pictures among them are shown.
        The bundle's own hash covers this card and can only stand in ``manifest.json``.
    """
    osteon = metadata.osteon
    parts = [
        f"# Model card: {osteon.name} {osteon.version}",
        metadata.description,
        f"**{RESEARCH_NOTICE}**",
        _section("Intended use", [osteon.intended_use]),
        _section("Limits", [f"- {text}" for text in osteon.limits]),
        _section("Network", _network(metadata, network, parameters)),
        _section("Training data", _training_data(metadata)),
        _section("How it was made", _making(metadata) + _pictures(hashes)),
        _section("Evaluation", _metrics(osteon.metrics)),
        _section("Changes", [f"- {number}: {text}" for number, text in metadata.changelog.items()]),
        _section("Files", [f"- `{name}`: sha256 `{hashes[name]}`" for name in (WEIGHTS, METADATA, INFERENCE)]),
    ]
    return "\n\n".join(parts) + "\n"


def licence_text(metadata: BundleMetadata) -> str:
    """The notice of the Apache License 2.0, as its appendix words it.

    Raises
    ------
    TrainingError
        The model has another licence, whose text only its author can give.
    """
    if metadata.osteon.licence != "Apache-2.0":
        raise TrainingError(f"the licence is {metadata.osteon.licence}: give its text with Publication(licence=...)")
    return f"""{metadata.copyright}

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
"""


def _section(title: str, lines: list[str]) -> str:
    return f"## {title}\n\n" + "\n".join(lines)


def _network(metadata: BundleMetadata, network: NetworkDefinition, parameters: int) -> list[str]:
    osteon = metadata.osteon
    what = "targets" if osteon.kind is Kind.REGRESSION else "classes"
    arguments = ", ".join(f"{name} {value}" for name, value in network.arguments.items())
    lines = [
        f"- {osteon.kind.value.capitalize()} by {network.plain()['_target_']} ({arguments})",
        f"- {parameters:,} parameters, stored as {osteon.weights_dtype} in safetensors",
        *_input(osteon.input),
        f"- Output: {len(osteon.outputs)} {what}, in order: {', '.join(osteon.outputs)}",
    ]
    if osteon.priors is not None:
        shares = ", ".join(f"{name} {share:.4g}" for name, share in zip(osteon.classes, osteon.priors, strict=True))
        lines.append(
            f"- Priors: {shares}; logits adjusted with tau1 {_or_none(osteon.tau1)} in the loss, tau2 {_or_none(osteon.tau2)} post hoc"
        )
    if osteon.temperature is not None:
        lines.append(
            f"- Temperature {osteon.temperature:.3g}, chosen on validation cases; its calibrated probabilities are softmax(z / temperature)"
        )
    if osteon.paper is not None:
        lines.append(f"- After: {osteon.paper}")
    return lines


def _input(given: NetworkInput) -> list[str]:
    lines = [
        f"- Input: {given.modality}, {given.channels} channel{'s' if given.channels > 1 else ''}; {_NORMALISATION[given.normalisation]}"
    ]
    if given.window_hu is not None:
        lines[0] += f" ({given.window_hu[0]:g} to {given.window_hu[1]:g} HU)"
    if given.spacing_mm:
        lines.append(
            f"- Grid: {' x '.join(f'{step:g}' for step in given.spacing_mm)} mm"
            + (f", axes {given.orientation}" if given.orientation else "")
        )
    pieces = f"- Trained with pieces of {' x '.join(str(size) for size in given.patch_size)}"
    lines.append(pieces if given.multiple_of == 1 else f"{pieces}; every axis must be a multiple of {given.multiple_of}")
    return lines


def _training_data(metadata: BundleMetadata) -> list[str]:
    training = metadata.osteon.training
    return [f"Trained on {_TRAINED_ON[metadata.osteon.trained_on]}", "", f"{training.cases:,} cases: {training.data}"]


def _making(metadata: BundleMetadata) -> list[str]:
    training = metadata.osteon.training
    lines = ["```", training.command, "```", "", f"- Seed {training.seed}"]
    if training.git_commit is not None:
        lines.append(f"- Source at commit {training.git_commit}")
    if training.seconds is not None or training.hardware is not None:
        where = f" on {training.hardware}" if training.hardware is not None else ""
        lines.append(f"- Trained{f' for {training.seconds / 60:.0f} min' if training.seconds is not None else ''}{where}")
    versions = f"MONAI {metadata.monai_version}, PyTorch {metadata.pytorch_version}, NumPy {metadata.numpy_version}"
    return [*lines, f"- Exported with {versions}"]


def _pictures(hashes: Mapping[str, str]) -> list[str]:
    names = [name.removeprefix("docs/") for name in hashes if name.endswith(".png")]
    return [line for name in names for line in ("", f"![{name.removesuffix('.png').replace('-', ' ')}]({name})")]


def _metrics(metrics: tuple[Metric, ...]) -> list[str]:
    if not metrics:
        return ["None was recorded with the bundle."]
    rows = [f"| {item.name} | {item.value:.3g} | {_interval(item)} | {item.cases} | {item.data} |" for item in metrics]
    return ["| metric | value | 95 % interval | cases | measured on |", "|---|---|---|---|---|", *rows]


def _interval(item: Metric) -> str:
    return "-" if item.low is None or item.high is None else f"{item.low:.3g} to {item.high:.3g}"


def _or_none(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
