-- JSON of what servers report of their usage, without its numbers: records hold the number of a shape, and the numbers
-- that stood in it. Rows are added, in the order of their numbers, and never changed or removed.
CREATE TABLE usage_shapes (
    id INTEGER PRIMARY KEY,
    shape TEXT NOT NULL UNIQUE
) STRICT;
