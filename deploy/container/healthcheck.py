"""Whether what runs in this container is ready: each port named answers GET /ready with 200. Exit code 0 or 1.

Only the standard library's client: it is started every few seconds.
"""

import http.client
import sys


def fault(port: str) -> str:
    """Why a port is not ready; empty if it is."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=4)
    try:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        text = answer.read(500).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"port {port}: {error}"
    finally:
        connection.close()
    return "" if answer.status == http.HTTPStatus.OK else f"port {port}: {answer.status} {text}"


faults = [found for found in map(fault, sys.argv[1:]) if found]
sys.stderr.write("".join(f"{found}\n" for found in faults))
sys.exit(bool(faults))
