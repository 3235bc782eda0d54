"""How many examples Hypothesis tries: a test says how many a whole run needs, ``HYPOTHESIS_PROFILE`` how many of those.

``test`` (all of them) and ``quick`` (a part) try the same ones in every run, so that a run says something about the
change alone; ``search`` tries others each time, and many more. A busy machine is no fault: there is no deadline.
"""

import os
from typing import Any, Final

from hypothesis import HealthCheck, settings

_SHARES: Final = {"quick": 0.2, "test": 1.0, "search": 20.0}
_FEWEST: Final = 5
_PROFILE: Final = os.environ.get("HYPOTHESIS_PROFILE", "test")
if _PROFILE not in _SHARES:
    raise ValueError(f"HYPOTHESIS_PROFILE={_PROFILE!r} is none of {', '.join(_SHARES)}")


def examples(count: int = 100, *, allow: tuple[HealthCheck, ...] = (), **more: Any) -> settings:
    """Settings of a test that tries ``count`` examples in a whole run; the health checks in ``allow`` are not made."""
    few = max(min(count, _FEWEST), round(count * _SHARES[_PROFILE]))
    unchecked = [HealthCheck.too_slow, *allow]
    return settings(
        max_examples=few, derandomize=_PROFILE != "search", deadline=None, suppress_health_check=unchecked, **more
    )


def load_profile() -> None:
    """For the tests that say nothing."""
    settings.register_profile(_PROFILE, examples())
    settings.load_profile(_PROFILE)
