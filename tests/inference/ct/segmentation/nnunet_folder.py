"""Weights folders for the real TotalSegmentator package, with small nnU-Nets of random weights in the layout that nnU-Net reads."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

FAST_FOLDER = "Dataset297_TotalSegmentator_total_3mm_1559subj"
FAST_TRAINER = "nnUNetTrainer_4000epochs_NoMirroring__nnUNetPlans__3d_fullres"
ARCHITECTURE = {
    "n_stages": 2,
    "features_per_stage": [4, 8],
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [2, 2, 2]],
    "n_conv_per_stage": [1, 1],
    "n_conv_per_stage_decoder": [1],
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}
"""A plain U-Net of two stages: nnU-Net's own network, at the smallest size that is one."""


def plans(spacing_mm: float, patch: int) -> dict[str, Any]:
    """An nnU-Net 2 plans file for one CT configuration."""
    resampling = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [patch] * 3,
        "median_image_size_in_voxels": [float(patch)] * 3,
        "spacing": [spacing_mm] * 3,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": resampling,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": ARCHITECTURE,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": False,
    }
    intensities = {
        "mean": 0.0,
        "std": 400.0,
        "median": 0.0,
        "min": -1024.0,
        "max": 1500.0,
        "percentile_00_5": -1024.0,
        "percentile_99_5": 1500.0,
    }
    return {
        "dataset_name": FAST_FOLDER,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [spacing_mm] * 3,
        "original_median_shape_after_transp": [patch] * 3,
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": intensities},
    }


def network(classes: int, seed: int) -> torch.nn.Module:
    """The network with random weights; its last layer is made strong, so that the classes alternate in space."""
    unet = importlib.import_module("dynamic_network_architectures.architectures.unet")
    torch.manual_seed(seed)
    made: torch.nn.Module = unet.PlainConvUNet(
        input_channels=1,
        n_stages=2,
        features_per_stage=(4, 8),
        conv_op=torch.nn.Conv3d,
        kernel_sizes=3,
        strides=(1, 2),
        n_conv_per_stage=(1, 1),
        num_classes=classes,
        n_conv_per_stage_decoder=(1,),
        conv_bias=True,
        norm_op=torch.nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=torch.nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
    )
    with torch.no_grad():
        for name, weights in made.named_parameters():
            if "seg_layers" in name and name.endswith("weight"):
                weights.copy_(torch.randn_like(weights) * 3)
    return made


def write_fast_weights(folder: Path, class_names: dict[int, str], seed: int = 0) -> Path:
    """The folder of the task ``total`` with ``fast``: one model of 3 mm; returns the checkpoint."""
    model = folder / FAST_FOLDER / FAST_TRAINER
    (model / "fold_0").mkdir(parents=True)
    (model / "plans.json").write_text(json.dumps(plans(3.0, 32)))
    labels = {"background": 0, **{name: label for label, name in class_names.items()}}
    dataset = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": 0, "file_ending": ".nii.gz"}
    (model / "dataset.json").write_text(json.dumps(dataset))
    checkpoint = model / "fold_0" / "checkpoint_final.pth"
    torch.save(
        {
            "network_weights": network(len(labels), seed).state_dict(),
            "trainer_name": "nnUNetTrainer_4000epochs_NoMirroring",
            "init_args": {"configuration": "3d_fullres"},
            "inference_allowed_mirroring_axes": None,
        },
        checkpoint,
    )
    return checkpoint


def noise_hu(shape: tuple[int, int, int]) -> np.ndarray:
    """Something smooth to look at, int16 HU."""
    ndimage = importlib.import_module("scipy.ndimage")
    values = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=shape), 3)
    return np.asarray(np.rint(values / np.abs(values).max() * 800), dtype=np.int16)
