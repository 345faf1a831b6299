"""gate: waits until every bundle is back and in order."""
