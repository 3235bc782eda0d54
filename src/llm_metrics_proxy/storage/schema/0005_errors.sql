-- The server's own words and limits, the taxonomy's category and phase, and what older records said before it.
ALTER TABLE completion_requests ADD COLUMN upstream_error_code TEXT;
ALTER TABLE completion_requests ADD COLUMN upstream_error_type TEXT;
ALTER TABLE completion_requests ADD COLUMN retry_after_ms REAL;
ALTER TABLE completion_requests ADD COLUMN ratelimit_limit_requests INTEGER;
ALTER TABLE completion_requests ADD COLUMN ratelimit_remaining_requests INTEGER;
ALTER TABLE completion_requests ADD COLUMN ratelimit_reset_requests_ms REAL;
ALTER TABLE completion_requests ADD COLUMN ratelimit_limit_tokens INTEGER;
ALTER TABLE completion_requests ADD COLUMN ratelimit_remaining_tokens INTEGER;
ALTER TABLE completion_requests ADD COLUMN ratelimit_reset_tokens_ms REAL;
ALTER TABLE completion_requests ADD COLUMN error_category TEXT;
ALTER TABLE completion_requests ADD COLUMN error_phase TEXT;
ALTER TABLE completion_requests ADD COLUMN outcome_original ANY;
ALTER TABLE completion_requests ADD COLUMN error_type_original ANY;
