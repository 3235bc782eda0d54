"""``python -m llm_metrics_proxy.proxy``: one worker process, started by the supervisor."""

import sys

from llm_metrics_proxy.proxy.worker import main

sys.exit(main())
