"""What the words in a CT header mean: image kinds, body parts, convolution kernels, contrast media.

The lists hold what scanners of Canon/Toshiba, GE, Philips, Siemens and United Imaging write; an unknown word means nothing, never
something bad.
"""

import re
from enum import StrEnum

from inference.reading import InstanceHeader


class KernelKind(StrEnum):
    """How a convolution kernel treats edges and noise."""

    SOFT = "soft"
    NEUTRAL = "unknown"
    SHARP = "sharp"


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_DERIVED_WORDS = _set(
    "MPR MIP MINIP MINIMUM MAXIMUM PROJECTION REFORMATTED VRT SSD RENDERING VOLREN CPR CURVED SCREEN SCREENSHOT SCREENSAVE CAPTURE DOSE "
    "REPORT PROTOCOL RESULTS SUMMARY FUSION SUBTRACTION PERFUSION CBF CBV MTT TTP"
)
_SPECTRAL_WORDS = _set(
    "VMI MONO MONOE MONOENERGETIC MONOCHROMATIC KEV GSI IODINE VNC VNI VUE ZEFF EFFECTIVE SPECTRAL MATERIAL WATER "
    "URIC SBI CALCIUM ELECTRON DENSITY OVERLAY VIRTUAL"
)
_LOCALIZER_WORDS = _set("LOCALIZER LOCALISER SCOUT SCANOGRAM SCANOSCOPE TOPOGRAM TOPO SURVIEW SURVEY SCANO PILOT")
_AMBIGUOUS_IN_DESCRIPTIONS = _set(
    "DOSE SCREEN CAPTURE VIRTUAL CPR FUSION "
    "MONO WATER DENSITY EFFECTIVE MATERIAL OVERLAY CALCIUM PROTOCOL SURVEY PILOT MINIMUM MAXIMUM CURVED RESULTS"
)
"""Words that name an image kind in Image Type but may mean anything in a description ("low dose lung screen", "virtual colonoscopy")."""

_TRUNK_WORDS = _set(
    "CHEST THORAX THORACIC LUNG LUNGS HEART CARDIAC CORONARY ABD ABDO ABDOMEN ABDOMINAL PELVIS PELVIC TRUNK TORSO BODY WHOLEBODY LIVER "
    "KIDNEY KIDNEYS RENAL PANCREAS COLON AORTA SPINE LSPINE TSPINE LUMBAR LSP BWS LWS TAP CAP PARTIALBODY UROGRAM KUB"
)
_TRUNK_PARTS = ("CHEST", "THORA", "ABD", "PELV", "SPINE", "LUMB", "BODY", "TRUNK")
_ELSEWHERE_WORDS = _set(
    "HEAD BRAIN SKULL NECK CSPINE CERVICAL HEADNECK NECKHEAD FACE FACIAL SINUS SINUSES ORBIT ORBITS EAR IAC JAW MANDIBLE MAXILLA DENTAL "
    "TEMPORAL PETROUS SELLA EXTREMITY LEG LEGS KNEE FOOT FEET ANKLE TOE HAND WRIST FINGER ARM ELBOW SHOULDER CLAVICLE HUMERUS FOREARM "
    "FEMUR TIBIA CALF HSPINE KOPF SCHADEL HALS KNIE"
)


def words(*texts: str) -> frozenset[str]:
    """Whole words, upper case: letters and digits apart from each other and from everything else."""
    return frozenset(re.findall(r"[A-Z]+|\d+", " ".join(texts).upper()))


def localizer_word(header: InstanceHeader) -> str | None:
    """The word that makes this instance a localizer, or None."""
    return _first(words(*header.image_type[2:]) & _LOCALIZER_WORDS) or _first(
        words(header.series_description) & (_LOCALIZER_WORDS - _AMBIGUOUS_IN_DESCRIPTIONS)
    )


def derived_word(header: InstanceHeader) -> str | None:
    """The word that says that pixel values are no attenuation as reconstructed (a projection, a reformat, a spectral map), or None."""
    kinds = _DERIVED_WORDS | _SPECTRAL_WORDS
    return _first(words(*header.image_type[2:]) & kinds) or _first(words(header.series_description) & (kinds - _AMBIGUOUS_IN_DESCRIPTIONS))


def other_body_part(header: InstanceHeader) -> str | None:
    """The body part, where the header names one and nothing in it speaks for the trunk; else None.

    Body Part Examined is often the protocol's default, so a description that names the trunk outweighs it.
    """
    described = words(header.series_description, header.protocol_name)
    part = header.body_part_examined.upper()
    if any(piece in part for piece in _TRUNK_PARTS) and not words(part) & {"CSPINE", "HSPINE"} and "CSPINE" not in part:
        return None
    if described & _TRUNK_WORDS or words(part) & _TRUNK_WORDS:
        return None
    if words(part) & _ELSEWHERE_WORDS:
        return header.body_part_examined
    if part:
        return None
    whole_study = words(header.study_description)
    if whole_study & _TRUNK_WORDS:
        return None
    return _first((described | whole_study) & _ELSEWHERE_WORDS)


def names_lumbar_region(header: InstanceHeader) -> bool:
    """Whether the header names a region that holds L1."""
    text = " ".join((header.body_part_examined, header.series_description, header.protocol_name)).upper()
    return any(piece in text for piece in ("ABD", "LUMB", "LSPINE", "L-SPINE", "L SPINE", "BODY", "TRUNK")) or bool(
        words(text) & {"TAP", "CAP", "LWS"}
    )


_SOFT_NAMES = _set("STANDARD STND STD SOFT SMOOTH CHST CHEST BODY ABDOMEN")
_SHARP_NAMES = _set("BONE BONEPLUS LUNG EDGE DETAIL ULTRA SHARP HR HRES HIGHRES FINE INNER")


def kernel_kind(kernel: str) -> KernelKind:
    """Kind of a Convolution Kernel (0018,1210).

    Siemens: letter(s) and a number that rises with sharpness (B30f, Br38f, I30f, Hr44, Bl57: up to 45 soft, from 50 sharp; odd families
    such as Qr for quantitative work alike). GE: words. Philips: A to C, UA, UB, YA, IMR1 soft; D, E, L, YB, YC, YD and more sharp. Canon
    and Toshiba: FC01 to FC19 body soft, FC30 and FC50 to FC90 sharp.
    """
    name = kernel.upper().split("\\")[0].strip()
    canon = re.match(r"FC\s?(\d{1,2})", name)
    if canon:
        number = int(canon[1])
        return KernelKind.SOFT if number < 20 else KernelKind.SHARP if number >= 30 and not 40 <= number < 50 else KernelKind.NEUTRAL
    siemens = re.match(r"(?:[BIJTHQDUSAE][A-Z]?)(\d{2})", name)
    if siemens:
        number = int(siemens[1])
        return KernelKind.SOFT if number <= 45 else KernelKind.SHARP if number >= 50 else KernelKind.NEUTRAL
    found = words(name)
    if found & _SHARP_NAMES:
        return KernelKind.SHARP
    if found & _SOFT_NAMES or name.startswith(("BODY_SOFT", "STANDARD", "SOFT")):
        return KernelKind.SOFT
    if name in {"A", "B", "C", "UA", "UB", "YA", "SA", "SB"}:
        return KernelKind.SOFT
    if name in {"D", "E", "F", "L", "YB", "YC", "YD", "YE", "UC", "UD", "UE"}:
        return KernelKind.SHARP
    return KernelKind.NEUTRAL


_NO_CONTRAST = _set("NONE NO NON NOT NIL NATIVE NATIV WITHOUT UNENHANCED OHNE SANS")


def header_says_contrast(header: InstanceHeader) -> bool | None:
    """Whether the header speaks of a contrast medium: True, False (native) or None (nothing said). Headers err; the image decides."""
    agent = words(header.contrast_bolus_agent)
    described = words(header.series_description)
    if agent:
        return not agent & _NO_CONTRAST
    if described & {"NATIVE", "NATIV", "UNENHANCED", "NONCONTRAST", "NCCT"} or re.search(
        r"\b(NON[- ]?CON|W/?O\b|WITHOUT)", header.series_description.upper()
    ):
        return False
    if described & {"ARTERIAL", "VENOUS", "PORTAL", "PV", "CONTRAST", "CE", "ANGIO", "CTA", "DELAYED", "NEPHROGRAPHIC"}:
        return True
    return None


def _first(found: frozenset[str]) -> str | None:
    return min(found) if found else None
