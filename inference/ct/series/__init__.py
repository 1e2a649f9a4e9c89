"""From the headers of a CT study to one volume: which series, in what geometry, with what attenuation."""

from inference.ct.series.choice import CandidateSeries, SeriesChoice, choose_series
from inference.ct.series.geometry import StackGeometry, stack_geometry
from inference.ct.series.load import LoadedSeries, load_series

__all__ = ["CandidateSeries", "LoadedSeries", "SeriesChoice", "StackGeometry", "choose_series", "load_series", "stack_geometry"]
