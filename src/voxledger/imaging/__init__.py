"""Images, labels and probabilities with their geometry, and the files that hold them."""
