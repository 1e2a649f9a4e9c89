"""How a number becomes the one that people read."""


def round_hu(attenuation_hu: float) -> int:
    """Whole HU, halves upwards: the least significant change is 10-16 HU, so a decimal would claim too much."""
    return int(attenuation_hu // 1 + (attenuation_hu % 1 >= 0.5))
