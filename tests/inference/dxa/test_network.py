"""Table 4 layer by layer, and forward and backward against the same network written in numpy as Keras computes it."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from inference.dxa.network import FILTERS, POOLED, Cnn21, probabilities
from inference.errors import OsteonError

pytestmark = pytest.mark.unit

Array = NDArray[np.float64]
# Table 4 for 150 x 150 x 3, valid convolutions: height, width, filters after each of its convolutions and poolings.
MAPS = (
    (148, 148, 32),
    (146, 146, 64),
    (144, 144, 128),
    (72, 72, 128),
    (70, 70, 64),
    (35, 35, 64),
    (33, 33, 128),
    (16, 16, 128),
    (14, 14, 512),
    (7, 7, 512),
    (5, 5, 512),
    (2, 2, 512),
)
PARAMETERS = (896, 18_496, 73_856, 73_792, 73_856, 590_336, 2_359_808, 131_136, 130)
"""Of each convolution and dense layer: (3 * 3 * inputs + 1) * filters, (inputs + 1) * units."""


def test_the_maps_are_those_of_table_4() -> None:
    network = Cnn21().eval()
    found: list[tuple[int, ...]] = []
    layers = [layer for layer in network.features if isinstance(layer, nn.Conv2d | nn.MaxPool2d)]
    for layer in layers:
        layer.register_forward_hook(lambda _layer, _given, out: found.append((*out.shape[2:], out.shape[1])))
    with torch.inference_mode():
        image = torch.rand(1, 3, 150, 150)
        assert network.flat(image).shape == (1, 2048)
        assert network(image).shape == (1, 2)
    assert tuple(found[: len(MAPS)]) == MAPS


def test_it_has_21_layers_and_3_322_306_parameters() -> None:
    network = Cnn21()
    weighted = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert tuple(sum(one.numel() for one in layer.parameters()) for layer in weighted) == PARAMETERS
    assert sum(PARAMETERS) == sum(one.numel() for one in network.parameters()) == 3_322_306
    others = [layer for layer in network.modules() if isinstance(layer, nn.MaxPool2d | nn.Dropout)]
    assert len(weighted) + len(others) + 1 == 21  # and the flattening
    assert all(layer.p == 0.2 for layer in others if isinstance(layer, nn.Dropout))


def test_the_width_scales_filters_and_units() -> None:
    narrow = Cnn21(width=0.25)
    assert [layer.out_channels for layer in narrow.features if isinstance(layer, nn.Conv2d)] == [count // 4 for count in FILTERS]
    assert (narrow.dense.in_features, narrow.dense.out_features) == (512, 16)


def test_first_weights_are_those_of_keras() -> None:
    torch.manual_seed(1)
    dense = Cnn21().dense
    limit = (6 / (2048 + 64)) ** 0.5  # Glorot and Bengio 2010, equation 16
    weight = dense.weight.detach()
    assert float(weight.abs().max()) == pytest.approx(limit, rel=1e-3)
    assert float(weight.std()) == pytest.approx(limit / 3**0.5, rel=1e-2)
    assert not dense.bias.any()


@pytest.mark.parametrize("wrong", [{"spatial_dims": 3}, {"width": 0.001}, {"classes": 1}, {"in_channels": 0}])
def test_what_makes_no_network_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"two axes|make no network"):
        Cnn21(**wrong)  # type: ignore[arg-type]


class KerasStyle:
    """The same layers on (rows, columns, channels) in float64, forward and backward written out.

    Kernels lie as Keras keeps them: (3, 3, inputs, filters) and (inputs, units).
    """

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self.weights = weights
        self.gradients: dict[str, Array] = {}
        self._convolutions = sorted({name.rpartition(".")[0] for name in weights if name.startswith("features")}, key=lambda n: int(n[9:]))
        self._kept: list[tuple[str, str, Array]] = []

    def forward(self, image: Array) -> Array:
        """Logits (classes,) of one image."""
        here = image
        for number, name in enumerate(self._convolutions):
            self._kept.append(("conv", name, here))
            here = self._convolved(here, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])
            self._kept.append(("relu", "", here))
            here = np.maximum(here, 0)
            if number in POOLED:
                self._kept.append(("pool", "", here))
                here = self._pooled(here)
        self._kept.append(("flatten", "", here))
        here = here.reshape(-1)  # Keras' Flatten: rows, columns, channels
        for name, last in (("dense", False), ("head", True)):
            self._kept.append(("dense", name, here))
            here = here @ self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
            if not last:
                self._kept.append(("relu", "", here))
                here = np.maximum(here, 0)
        return here

    def backward(self, slope: Array) -> Array:
        """The gradient by the image, given the one by the logits; those by the weights are kept in ``gradients``."""
        for kind, name, before in reversed(self._kept):
            if kind == "dense":
                self.gradients[f"{name}.weight"], self.gradients[f"{name}.bias"] = np.outer(before, slope), slope
                slope = self.weights[f"{name}.weight"] @ slope
            elif kind == "conv":
                slope = self._convolution_backward(name, before, slope)
            elif kind == "relu":
                slope = slope * (before > 0)
            elif kind == "flatten":
                slope = slope.reshape(before.shape)
            else:
                slope = self._pool_backward(before, slope)
        return slope

    @staticmethod
    def _convolved(image: Array, kernel: Array, bias: Array) -> Array:
        windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(0, 1))  # (rows - 2, columns - 2, channels, 3, 3)
        return np.asarray(np.einsum("rcikl,klif->rcf", windows, kernel, optimize=True) + bias)

    def _convolution_backward(self, name: str, image: Array, slope: Array) -> Array:
        rows, columns = slope.shape[:2]
        kernel = self.weights[f"{name}.weight"]
        by_kernel, by_image = np.zeros_like(kernel), np.zeros_like(image)
        for row in range(3):
            for column in range(3):
                part = image[row : row + rows, column : column + columns]
                by_kernel[row, column] = np.einsum("rci,rcf->if", part, slope, optimize=True)
                by_image[row : row + rows, column : column + columns] += slope @ kernel[row, column].T
        self.gradients[f"{name}.weight"], self.gradients[f"{name}.bias"] = by_kernel, slope.sum(axis=(0, 1))
        return by_image

    @staticmethod
    def _blocks(image: Array) -> Array:
        """(rows // 2, columns // 2, channels, 4): what each pooling sees; an odd last row or column is dropped, as Keras does."""
        rows, columns, channels = image.shape[0] // 2, image.shape[1] // 2, image.shape[2]
        cut = image[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, channels)
        return cut.transpose(0, 2, 4, 1, 3).reshape(rows, columns, channels, 4)

    def _pooled(self, image: Array) -> Array:
        return np.asarray(self._blocks(image).max(axis=3))

    def _pool_backward(self, image: Array, slope: Array) -> Array:
        rows, columns, channels = slope.shape
        first = self._blocks(image).argmax(axis=3)
        spread = (np.arange(4) == first[..., None]) * slope[..., None]
        out = np.zeros_like(image)
        out[: 2 * rows, : 2 * columns] = (
            spread.reshape(rows, columns, channels, 2, 2).transpose(0, 3, 1, 4, 2).reshape(2 * rows, 2 * columns, channels)
        )
        return out


def keras_weights(network: Cnn21) -> dict[str, Array]:
    """As Keras would keep them: kernels (3, 3, inputs, filters), dense (inputs, units)."""
    found = {}
    for name, value in network.state_dict().items():
        array = value.double().numpy()
        found[name] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
    return found


def test_forward_and_backward_are_those_of_keras() -> None:
    torch.manual_seed(3)
    network = Cnn21(width=0.0625).double().eval()
    with torch.no_grad():  # biases other than 0, so that they are tested too
        for name, value in network.named_parameters():
            if name.endswith("bias"):
                value.uniform_(-0.05, 0.05)
    image = torch.rand(1, 3, 150, 150, dtype=torch.float64, requires_grad=True)
    logits = network(image)
    nn.functional.cross_entropy(logits, torch.tensor([1])).backward()  # type: ignore[no-untyped-call]

    keras = KerasStyle(keras_weights(network))
    assert image.grad is not None
    theirs = keras.forward(image.detach().numpy()[0].transpose(1, 2, 0))
    np.testing.assert_allclose(logits.detach().numpy()[0], theirs, rtol=1e-9, atol=1e-12)
    slope = np.exp(theirs) / np.exp(theirs).sum() - np.array([0.0, 1.0])  # of softmax with cross-entropy
    by_image = keras.backward(slope)
    np.testing.assert_allclose(image.grad.numpy()[0].transpose(1, 2, 0), by_image, rtol=1e-7, atol=1e-12)
    for name, value in network.named_parameters():
        assert value.grad is not None
        ours = value.grad.numpy()
        ours = ours.transpose(2, 3, 1, 0) if ours.ndim == 4 else ours.T
        np.testing.assert_allclose(ours, keras.gradients[name], rtol=1e-7, atol=1e-12, err_msg=name)
        assert np.abs(ours).max() > 0, name


def test_probabilities_follow_temperature_and_output() -> None:
    logits = torch.tensor([[0.0, 2.0]], dtype=torch.float64)
    soft = probabilities(logits, 2.0)
    assert float(soft[0, 1]) == pytest.approx(np.e / (1 + np.e))
    both = probabilities(logits, 2.0, "sigmoid")
    alone = np.array([0.5, 1 / (1 + np.exp(-1.0))])
    np.testing.assert_allclose(both.numpy()[0], alone / alone.sum())
    with pytest.raises(OsteonError, match="temperature"):
        probabilities(logits, 0.0)
