"""release: versions, trace, verify, diff."""
