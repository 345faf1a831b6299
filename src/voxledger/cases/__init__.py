"""The stage `cases`, and how cases come in."""
