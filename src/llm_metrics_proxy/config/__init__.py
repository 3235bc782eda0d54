"""Settings: one table (``settings``) feeds flags, environment, TOML and docs. The rest of the program sees the result.

types       what values may look like, with words for those that may not
settings    the table: every setting with its default, unit, range and meaning
backends    the tables [[backends]] of the file
table       the same as rows: flags, environment names and ``docs/settings.md``
toml_lines  on which line of the file a key stands
sources     which value counts, where it came from, and every problem at once
"""
