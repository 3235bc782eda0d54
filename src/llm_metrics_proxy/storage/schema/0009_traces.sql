-- The client's own span, so that this proxy's can hang below it. NULL: an older record, or no traceparent.
ALTER TABLE completion_requests ADD COLUMN parent_span_id TEXT;
ALTER TABLE completion_requests ADD COLUMN trace_sampled INTEGER;
