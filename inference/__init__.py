"""Images in, findings out: the measuring half of Osteon. Knows nothing of networks, databases or DICOM result objects."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("osteon")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
