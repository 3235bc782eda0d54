"""The data plane: forwards requests, times them, and appends what happened to the journal.

Knows the journal's append side and never a store. ``python -m llm_metrics_proxy.proxy`` is one worker process.
"""
