"""What lasts for years: each record in a module of its own, with its reader and writer."""
