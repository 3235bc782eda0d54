"""Starts and runs the processes of the product; ``cli`` asks for them, and ``supervisor`` keeps them running.

launch           from settings to sockets, folders and one ``ChildSpec`` per process
discovery        which LLM servers run on this machine
reload           the settings read again on SIGHUP, by a process of its own
metrics_process  the metrics process; ``metrics_options`` is what it starts with
migration_ports  its migration, as the API sees it
secret_file      the key behind ``api_key_id``
"""
