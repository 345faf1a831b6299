"""Which cases people look at first: one acquisition function a file.

What an acquisition function is: `voxledger.score.acquire`.
"""
