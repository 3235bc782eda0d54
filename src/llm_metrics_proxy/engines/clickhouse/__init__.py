"""Records in ClickHouse: its table, how records get there exactly once, and how questions are asked of it."""
