"""Where jobs run: one file an executor, each with the function `execute(work, items, workers)` of `local`."""
