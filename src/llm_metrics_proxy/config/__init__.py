"""Settings: one table (``settings``) feeds flags, environment, TOML and docs. The rest of the program sees the result.

types         what values may look like, with words for those that may not
settings      the table: every setting with its default, unit, range, meaning, and whether SIGHUP reads it again
cross_checks  rules between settings
backends      the tables [[backends]] of the file; ``prices`` and ``watch`` are its other tables
table         the settings as rows: flags, environment names and what is generated from them
values        generated: the settings as processes get them
toml_lines    on which line of the file a key stands
faults        the line for each thing that can be wrong, with its file and line
sources       which value counts, where it came from, and every problem at once
"""
