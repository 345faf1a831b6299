"""infer: the models in models/base predict cases; soft predictions."""
