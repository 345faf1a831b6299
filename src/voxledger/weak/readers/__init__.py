"""Readers of what people mark objects in, one file a format."""
