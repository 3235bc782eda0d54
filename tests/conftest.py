"""For all tests: generated examples are the same in every run, so that a run says something about the change alone.

``HYPOTHESIS_PROFILE=search`` tries other examples each time, and more of them.
"""

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True)
settings.register_profile("search", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
