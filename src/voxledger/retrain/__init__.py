"""The next models: cohorts of what people stand behind, strategies, and the training of each backend."""
