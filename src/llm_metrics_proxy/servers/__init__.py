"""What LLM servers and GPUs say of themselves: asked every few seconds, kept small, set beside what the proxy sees.

Readers are pure, a file per format (``exposition``, ``programs``, ``json_pages``, ``gpus``). ``schedule`` decides what
is asked when, ``minutes`` adds readings up, ``verdict`` says what they mean. ``poller`` alone touches the network and
runs programs; ``report`` puts samples and records together. Only ``processes``, ``api`` and ``cli`` import this room.
"""
