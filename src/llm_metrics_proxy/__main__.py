"""``python -m llm_metrics_proxy``: the same as the command, where its folder is on no PATH."""

from llm_metrics_proxy.cli import main

if __name__ == "__main__":
    main()
