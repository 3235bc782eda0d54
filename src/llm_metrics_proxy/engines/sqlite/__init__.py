"""Records in SQLite: all SQL by which they are read."""
