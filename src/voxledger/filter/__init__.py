"""filter: mean of the models, threshold, and anatomical rules with a decision log."""
