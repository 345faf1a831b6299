"""Networks and predictions made elsewhere: one folder a backend, with the same file names inside."""
