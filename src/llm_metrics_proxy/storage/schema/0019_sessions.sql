-- Sessions: what a list of them adds up stands in the index, so that no record is read for it; see engines/sqlite/sessions.py.
-- 150 bytes a record that has a session, and nothing for others.
CREATE INDEX records_by_session ON completion_requests (
    session_id, timestamp, response_time_ms, error_category, usage_source, total_tokens, prompt_tokens,
    completion_tokens, cached_tokens, cost_usd, model, agent_id
) WHERE session_id IS NOT NULL;
-- Which sessions a session, or an agent of it, has started.
CREATE INDEX records_by_parent ON completion_requests (parent_agent_id, session_id) WHERE parent_agent_id IS NOT NULL;
