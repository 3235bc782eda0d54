-- Whose tokens were counted: an answer that is fetched again, in whichever record, is counted once.
CREATE TABLE counted_answers (
    day INTEGER NOT NULL,
    answer INTEGER NOT NULL,
    fetched_at TEXT,
    PRIMARY KEY (day, answer)
) STRICT, WITHOUT ROWID;
