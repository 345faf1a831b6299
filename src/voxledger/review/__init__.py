"""review: bundles to people, decisions back from them."""
