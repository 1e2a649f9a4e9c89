"""X-ray projections of a simulated patient: chest radiographs and DXA images of the same body that the CT shows."""
