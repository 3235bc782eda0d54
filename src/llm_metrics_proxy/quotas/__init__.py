"""What servers said is left of their limits, by server and key: window by window, and where it is heading.

words        what one record says of limits
windows      pure: words of one limit become windows, each with a few samples, of which the last ones are kept
outlook      pure: how fast a window is used, and whether it lasts until it begins anew
book         all windows of a metrics process; stored with the records that said so, so that a restart forgets none
"""

from llm_metrics_proxy.quotas.book import QuotaBook
from llm_metrics_proxy.quotas.outlook import Outlook, Used, look_ahead
from llm_metrics_proxy.quotas.windows import LimitWindow, Sample
from llm_metrics_proxy.quotas.words import QuotaLeft

__all__ = ["LimitWindow", "Outlook", "QuotaBook", "QuotaLeft", "Sample", "Used", "look_ahead"]
