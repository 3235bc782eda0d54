"""Wire formats: bytes in, facts out. Pure: no I/O and no clock; imports only ``errors`` and ``record``.

``endpoints`` is the table of paths; ``event_reader`` and ``whole_body`` are what the readers of each dialect share.
"""
