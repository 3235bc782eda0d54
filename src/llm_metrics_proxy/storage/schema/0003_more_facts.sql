-- What more wire formats tell; NULL in every record from before. docs/metrics.md gives meanings and units.
ALTER TABLE completion_requests ADD COLUMN cache_write_tokens INTEGER;
ALTER TABLE completion_requests ADD COLUMN tool_call_count INTEGER;
ALTER TABLE completion_requests ADD COLUMN service_tier TEXT;
ALTER TABLE completion_requests ADD COLUMN response_id TEXT;
ALTER TABLE completion_requests ADD COLUMN upstream_cost_usd REAL;
ALTER TABLE completion_requests ADD COLUMN server_total_ms REAL;
ALTER TABLE completion_requests ADD COLUMN server_load_ms REAL;
ALTER TABLE completion_requests ADD COLUMN server_prompt_ms REAL;
ALTER TABLE completion_requests ADD COLUMN server_generation_ms REAL;
ALTER TABLE completion_requests ADD COLUMN websocket_frames_received INTEGER;
ALTER TABLE completion_requests ADD COLUMN websocket_frames_sent INTEGER;
