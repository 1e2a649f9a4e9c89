"""Pictures of results: data in, a file out, the same bytes for the same data."""
