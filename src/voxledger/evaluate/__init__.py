"""evaluate: metrics, intervals, and the report of a round."""
