"""Settings: one table (``settings``) feeds flags, environment, TOML and docs. The rest of the program sees the result.

types     what values may look like, with words for those that may not
settings  the table: every setting with its default, unit, range and meaning
table     the same as rows: flags, environment names and ``docs/settings.md``
sources   which value counts, where it came from, and every problem at once
"""
