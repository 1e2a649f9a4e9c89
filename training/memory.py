"""How much memory this process holds, and held at most."""

import resource
import sys
from pathlib import Path

_MIB = 1 << 20


def peak_mib() -> float:
    """The most memory this process ever held, in MiB.

    Linux's ``ru_maxrss`` begins with what the parent held when it forked, which VmHWM does not; macOS gives bytes.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM:")) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MIB if sys.platform == "darwin" else peak / 1024


def resident_mib() -> float:
    """The memory this process holds now, in MiB, where the system tells, else its peak so far."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * resource.getpagesize() / _MIB if status.exists() else peak_mib()
