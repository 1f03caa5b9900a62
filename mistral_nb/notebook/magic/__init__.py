"""``%%mistral`` and its line commands."""
