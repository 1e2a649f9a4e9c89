"""What other people's state dicts call the tensors of the networks here: torchvision's and timm's names to ours."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

Rename = Callable[[str], str]

_MOBILENET_REPEATS = (1, 2, 3, 4, 3, 3, 1)
_EFFICIENTNET_REPEATS = (1, 2, 2, 3, 3, 4, 1)


def _unchanged(name: str) -> str:
    return name


def _first_of(repeats: tuple[int, ...], stage: int) -> int:
    return sum(repeats[:stage])


def mobilenet_name(name: str) -> str:
    """timm's ``mobilenetv2_100`` to torchvision's names, which are ours."""
    whole = {"conv_stem": "features.0.0", "bn1": "features.0.1", "conv_head": "features.18.0", "bn2": "features.18.1"}
    whole["classifier"] = "classifier.1"
    module, _, kind = name.rpartition(".")
    if module in whole:
        return f"{whole[module]}.{kind}"
    found = re.fullmatch(r"blocks\.(\d)\.(\d)\.(\w+)", module)
    if found is None:
        return name
    stage, repeat, part = int(found[1]), int(found[2]), found[3]
    parts = {"conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "conv_pwl": "2", "bn3": "3"}
    if stage == 0:  # this block does not widen
        parts = {"conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"}
    return f"features.{1 + _first_of(_MOBILENET_REPEATS, stage) + repeat}.conv.{parts.get(part, part)}.{kind}"


def efficientnet_name(name: str) -> str:
    """timm's and torchvision's ``efficientnet_b0`` to MONAI's names."""
    whole = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
    whole |= {"features.0.0": "_conv_stem", "features.0.1": "_bn0", "features.8.0": "_conv_head", "features.8.1": "_bn1"}
    whole["classifier.1"] = "_fc"
    module, _, kind = name.rpartition(".")
    if module in whole:
        return f"{whole[module]}.{kind}"
    timm = re.fullmatch(r"blocks\.(\d)\.(\d)\.([\w.]+)", module)
    vision = re.fullmatch(r"features\.(\d)\.(\d)\.block\.([\w.]+)", module)
    if timm is None and vision is None:
        return name
    found = timm or vision
    assert found is not None
    stage, part = int(found[1]) - (timm is None), found[3]
    parts = (_TIMM_MBCONV if stage else _TIMM_FIRST) if timm else (_VISION_MBCONV if stage else _VISION_FIRST)
    index = _first_of(_EFFICIENTNET_REPEATS, stage) + int(found[2])
    return f"_blocks.{stage}.{index}.{parts.get(part, part)}.{kind}"


_DEPTHWISE = ("_depthwise_conv", "_bn1", "_se_reduce", "_se_expand", "_project_conv", "_bn2")
_ALL = ("_expand_conv", "_bn0", *_DEPTHWISE)
_TIMM_FIRST = dict(zip(("conv_dw", "bn1", "se.conv_reduce", "se.conv_expand", "conv_pw", "bn2"), _DEPTHWISE, strict=True))
_TIMM_MBCONV = dict(zip(("conv_pw", "bn1", "conv_dw", "bn2", "se.conv_reduce", "se.conv_expand", "conv_pwl", "bn3"), _ALL, strict=True))
_VISION_FIRST = dict(zip(("0.0", "0.1", "1.fc1", "1.fc2", "2.0", "2.1"), _DEPTHWISE, strict=True))
_VISION_MBCONV = dict(zip(("0.0", "0.1", "1.0", "1.1", "2.fc1", "2.fc2", "3.0", "3.1"), _ALL, strict=True))


def vit_name(name: str) -> str:
    """torchvision's ``vit_b_16`` to timm's names, which are ours."""
    whole = {"class_token": "cls_token", "encoder.pos_embedding": "pos_embed"}
    if name in whole:
        return whole[name]
    for theirs, ours in (("conv_proj.", "patch_embed.proj."), ("encoder.ln.", "norm."), ("heads.head.", "head.")):
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    found = re.fullmatch(r"encoder\.layers\.encoder_layer_(\d+)\.(.+)", name)
    if found is None:
        return name
    inside = found[2]
    for theirs, ours in _VISION_VIT:
        inside = inside.replace(theirs, ours)
    return f"blocks.{found[1]}.{inside}"


_VISION_VIT = (
    ("ln_1.", "norm1."),
    ("ln_2.", "norm2."),
    ("self_attention.in_proj_", "attn.qkv."),
    ("self_attention.out_proj.", "attn.proj."),
    ("mlp.0.", "mlp.fc1."),
    ("mlp.3.", "mlp.fc2."),
    ("mlp.linear_1.", "mlp.fc1."),
    ("mlp.linear_2.", "mlp.fc2."),
)

RENAMES: Mapping[str, Rename] = MappingProxyType(
    {"mobilenetv2": mobilenet_name, "efficientnet_b0": efficientnet_name, "vit": vit_name, "jointvit": vit_name}
)


def our_name(network: str, name: str) -> str:
    """What we call a tensor of somebody's ``network``; names that are ours already stay."""
    return RENAMES.get(network, _unchanged)(name)
