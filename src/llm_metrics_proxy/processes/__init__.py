"""Starts and runs the processes of the product. ``cli`` asks for them, and ``supervisor`` keeps them running.

launch           from settings to sockets, folders and one ``ChildSpec`` per process
discovery        which LLM servers run on this machine, and which one is the backend
options          what each process starts with: settings by name, rules and prices of the file's tables
config_faults    what is wrong with a configuration, found without starting anything
reload           the settings read again on SIGHUP, by a process of its own
metrics_process  the metrics process: ``metrics_options`` start it, ``reloads`` change it, ``migration_ports`` show how
                 its migration stands
secret_file      the key behind ``api_key_id``
versions         the versions that matter in a bug report
"""
