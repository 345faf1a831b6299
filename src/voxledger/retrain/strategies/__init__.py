"""Where the training of the next models starts: one strategy a file.

What a strategy is: `voxledger.retrain.strategy`.
"""
