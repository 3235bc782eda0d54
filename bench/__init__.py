"""Side-by-side benchmarks: ratios measured in one run on one machine, never figures from different days.

    python -m bench                      everything that is here, about half an hour
    python -m bench --quick              a second a figure: shows that all works, proves little
    python -m bench --only throughput,latency --peers nginx,haproxy --pairs 9 --seconds 5
    python -m bench --json               one JSON document on standard output

Every process is pinned: the server under test has a core for itself, all else shares another one. Runs of ours and of
its peers take turns, and a ratio is the median of the ratios of neighbouring runs, so that a noisy machine disturbs
both sides alike. What cannot run here is said under the table. Linux only: it reads /proc.

targets      what was promised, as a table         figures      what was measured, and medians
summary      the table of the documentation
peers        the servers, one small file each      run          whose turn it is, and who is missing
processes    pinned processes and what they use    payload      the request, and its answer
streamer     the paced upstream                    stream_client, rate_client   the clients
throughput, chunk_cpu, latency, memory, ingestion  one benchmark each

`python -m bench.migration` (`make bench-migrate`) is a program of its own, for it needs minutes and gigabytes:
migration (its face), migration_file (the database of 1.x), migration_child (what is timed), migration_waiter (another
writer), migration_latency (what clients notice).
"""
