"""Soft predictions of every model for every case; one file a backend."""
