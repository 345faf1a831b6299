"""What training and prediction share: the model folder, the networks, and what an image becomes before them."""
