-- Which of several backends answered, what was tried before, and who asked in their own words. NULL: an older record.
ALTER TABLE completion_requests ADD COLUMN backend_name TEXT;
ALTER TABLE completion_requests ADD COLUMN attempts INTEGER;
ALTER TABLE completion_requests ADD COLUMN attempt_errors TEXT;
ALTER TABLE completion_requests ADD COLUMN tags TEXT;
ALTER TABLE completion_requests ADD COLUMN trace_id TEXT;
