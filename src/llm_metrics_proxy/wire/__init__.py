"""Wire formats: bytes in, facts out. Pure: no I/O, no clock, nothing here knows of sockets or databases.

May be imported by ``proxy``; imports only ``errors`` and ``record``.
"""
