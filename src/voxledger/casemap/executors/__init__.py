"""Where jobs are computed: one file an executor.

What an executor is: `voxledger.casemap.executor`.
"""
