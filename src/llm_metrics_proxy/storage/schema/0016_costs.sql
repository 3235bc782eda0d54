-- What a run of `reprice` changed of the savings by prompt caches; NULL in what runs of 5.0.0 changed, which knew none. The
-- columns of the records themselves are made of the rows of record.py that name this step.
ALTER TABLE repricing_changes ADD COLUMN old_cache_savings_usd ANY;
ALTER TABLE repricing_changes ADD COLUMN new_cache_savings_usd REAL;
