"""Per-case work: typed jobs whose memo key derives from their fields, run by an executor, remembered case by case."""
