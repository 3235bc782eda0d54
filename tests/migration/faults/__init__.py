"""Every fault of the table in a real child process: killed, out of disk, I/O errors, power cuts, rivals, bad formulas.

``points`` counts what a process does and acts at one point, ``vfs`` and ``disk`` are the file system it does it on,
``nursery`` starts the children, ``jobs`` is what they do, ``oracle`` judges what they left. ``FAULT_EVERY_POINT=1``
tries every point instead of an even sample; ``-s`` shows how many there were.
"""
