-- How fast tokens came, and what older records said of tokens' times although their answers were not streamed.
ALTER TABLE completion_requests ADD COLUMN time_per_output_token_ms REAL;
ALTER TABLE completion_requests ADD COLUMN output_tokens_per_second REAL;
ALTER TABLE completion_requests ADD COLUMN time_to_first_token_ms_original ANY;
ALTER TABLE completion_requests ADD COLUMN time_to_first_output_ms_original ANY;
ALTER TABLE completion_requests ADD COLUMN time_to_last_token_ms_original ANY;
