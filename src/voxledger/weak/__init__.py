"""Weak labels: what somebody marked of an object without drawing it, and the prompts that they become."""
