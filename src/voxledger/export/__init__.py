"""export: one bundle a reviewer."""
