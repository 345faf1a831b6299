"""What two masks are compared by: one metric a file, whose name is that of its column in the tables.

What a metric is: `voxledger.evaluate.metric`.
"""
