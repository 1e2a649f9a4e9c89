"""Names of vertebral levels, head to foot."""

THORACIC = tuple(f"T{n}" for n in range(1, 13))
LUMBAR = tuple(f"L{n}" for n in range(1, 6))
LEVELS = (*THORACIC, *LUMBAR)
"""Every level that Osteon names, head to foot."""

REPORTED_LEVELS = LEVELS[LEVELS.index("T11") :]
"""Levels whose trabecular attenuation is measured: T11 to L5."""
