"""Who holds which token, and which browsers have shown it. One token sees everything, others some records only.

A browser gives the token once and gets a cookie that no script can read: 256 random bits, of which this process keeps
the digest. Signing out forgets it, so that a copy is worth nothing at once, and so does a restart: nothing is stored,
so nothing that was signed out can come back.

Guesses are counted by client address, whether they came with a bearer token or with a form. Two counts, because they
mean different people: one wrong token sent again and again is a misconfigured program, and must not lock out
its neighbours on the same machine; five different ones are somebody who guesses, and then even the right token has to
wait, or else guessing would go on unhindered.
"""

import hmac
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b, sha256
from typing import Final, NamedTuple

from llm_metrics_proxy.analytics.scope import ReadToken
from llm_metrics_proxy.forwarded import neighbourhood

PATH: Final = "/session"
LASTS_S: Final = 12 * 3600
MOST_ATTEMPTS: Final = 5  # per address in each window
WINDOW_S: Final = 60
MOST_SESSIONS: Final = 1000  # of people who all hold the token; the oldest ends first
_MOST_ADDRESSES: Final = 1024

log = logging.getLogger(__name__)


class SignInVerdict(NamedTuple):
    """Whether a token is right. ``wait_s``: it was not checked, or wrong once too often; try again after that time.
    ``token``: which one it is; none: the one that sees everything."""

    right: bool
    wait_s: float = 0.0
    token: ReadToken | None = None


class SessionAccess(NamedTuple):
    """What somebody sees: the records of a token, or everything.

    ``generation``: of the token that sees everything, counted from 1; 0 with another.
    """

    token: ReadToken | None
    generation: int = 0


class _Failures:
    """Of one address: when, and with which different tokens."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.guesses: dict[bytes, float] = {}

    def wait_s(self, now: float, *, for_right_one: bool) -> float:
        since = [*self.guesses.values()] if for_right_one else self.times
        recent = [at for at in since if now - at < WINDOW_S]
        return 0.0 if len(recent) < MOST_ATTEMPTS else WINDOW_S - (now - min(recent))

    def add(self, guess: bytes, now: float) -> None:
        self.times = [*(at for at in self.times if now - at < WINDOW_S), now][:MOST_ATTEMPTS]
        self.guesses = {known: at for known, at in self.guesses.items() if now - at < WINDOW_S}
        self.guesses.setdefault(guess, now)


class Attempts:
    """Failed attempts by address, for the addresses seen last only, so memory stays bounded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, _Failures] = OrderedDict()
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()

    def judge(self, address: str, given: bytes, token: bytes, others: Sequence[ReadToken] = ()) -> SignInVerdict:
        """Whether ``given`` is the token or one of the others, and if not, that it was tried. Each is compared, in
        constant time."""
        place, now = neighbourhood(address), self._clock()
        with self._lock:
            failures = self._failed.get(place)
            if failures is not None and (wait_s := failures.wait_s(now, for_right_one=True)) > 0:
                return SignInVerdict(right=False, wait_s=wait_s)
            found = _holder(given, others)
            if hmac.compare_digest(given, token):
                return SignInVerdict(right=True)
            if found is not None:
                return SignInVerdict(right=True, token=found)
            wait_s = 0.0 if failures is None else failures.wait_s(now, for_right_one=False)
            self._add(place, blake2b(given, key=self._key, digest_size=16).digest(), now)
            return SignInVerdict(right=False, wait_s=wait_s)

    def _add(self, place: str, guess: bytes, now: float) -> None:
        failures = self._failed.setdefault(place, _Failures())
        self._failed.move_to_end(place)
        failures.add(guess, now)
        if len(failures.guesses) == MOST_ATTEMPTS:
            log.warning("one address has tried %d different tokens and has to wait for %d s", MOST_ATTEMPTS, WINDOW_S)
        if len(self._failed) > _MOST_ADDRESSES:
            self._failed.popitem(last=False)


class Sessions:
    """Judges tokens, makes and knows cookies. ``clock``: Unix seconds. From any thread."""

    def __init__(self, token: str, tokens: Iterable[ReadToken] = (), *, clock: Callable[[], float] = time.time) -> None:
        """``token`` sees everything, each of ``tokens`` some records."""
        self._token = token.encode()
        self.generation = 1  # how many tokens have seen everything since the start
        self._tokens = {each.sha256: each for each in tokens}
        self._clock = clock
        self._attempts = Attempts()
        # digest of the cookie's value → when it ends, and the digest of the token that it was given for; empty: all
        self._open: OrderedDict[bytes, tuple[float, str]] = OrderedDict()
        self._lock = threading.Lock()
        # Cookies know no ports (RFC 6265 section 8.5): two programs on one host need two names. Over TLS the browser
        # itself sees to it that nobody sets one without TLS. `__Host-` would do more, but ties the cookie to the path /
        # and would hand it to everything else behind the same reverse proxy.
        name = f"llm_metrics_session_{secrets.token_hex(4)}"
        self.names: Final = (name, f"__Secure-{name}")

    def judge(self, address: str, given: bytes) -> SignInVerdict:
        """Whether this is a token, and which, from this client's address."""
        return self._attempts.judge(address, given, self._token, tuple(self._tokens.values()))

    def use(self, tokens: Iterable[ReadToken], token: str | None = None) -> None:
        """From now on these see some records, and ``token``, if there is another one, everything. Who holds one that is
        gone is signed out."""
        self._tokens = {each.sha256: each for each in tokens}
        if token is not None and not hmac.compare_digest(token.encode(), self._token):
            with self._lock:
                self._token = token.encode()
                self.generation += 1
                for value in [value for value, (_, of) in self._open.items() if not of]:
                    del self._open[value]

    def still(self, access: SessionAccess) -> bool:
        """Whether somebody who was let in with a token still sees the same."""
        if access.token is None:
            return access.generation == self.generation
        return self._tokens.get(access.token.sha256) == access.token

    def name(self, *, secure: bool) -> str:
        """Of the cookie."""
        return self.names[secure]

    def open(self, token: ReadToken | None = None) -> str:
        """A new session of a token's holder: the cookie's value."""
        value, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            while self._open and (len(self._open) >= MOST_SESSIONS or next(iter(self._open.values()))[0] <= now):
                self._open.popitem(last=False)
            self._open[_digest(value)] = (now + LASTS_S, "" if token is None else token.sha256)
        return value

    def knows(self, values: Iterable[str]) -> bool:
        """Whether one of these is the cookie of a session that is neither over nor signed out."""
        return self.access(values) is not None

    def access(self, values: Iterable[str]) -> SessionAccess | None:
        """What the session of one of these cookies sees; ``None``: there is none that is neither over nor signed out,
        or its token is gone."""
        now = self._clock()
        for value in values:
            ends, sha256_of_token = self._open.get(_digest(value), (now, ""))
            if ends > now and (not sha256_of_token or sha256_of_token in self._tokens):
                if sha256_of_token:
                    return SessionAccess(self._tokens[sha256_of_token])
                return SessionAccess(None, self.generation)
        return None

    def renew(self, values: Iterable[str]) -> str | None:
        """Let a session last anew: its cookie's value; ``None``: none of these is one. What is over stays so."""
        with self._lock:
            for value in values:
                if self.access([value]) is not None:
                    _, sha256_of_token = self._open[_digest(value)]
                    self._open[_digest(value)] = (self._clock() + LASTS_S, sha256_of_token)
                    self._open.move_to_end(_digest(value))  # they stand in the order in which they end
                    return value
        return None

    def close(self, values: Iterable[str]) -> None:
        """Sign out: these are worth nothing any more."""
        with self._lock:
            for value in values:
                self._open.pop(_digest(value), None)

    def values(self, cookies: Iterable[str]) -> list[str]:
        """Values of our cookies in header fields Cookie. There can be several, of different paths and schemes."""
        pairs = (pair.strip().partition("=") for field in cookies for pair in field.split(";"))
        return [value for name, _, value in pairs if name in self.names]


def _holder(given: bytes, tokens: Sequence[ReadToken]) -> ReadToken | None:
    """Looks at every one, whichever fits."""
    digest, found = sha256(given).hexdigest(), None
    for token in tokens:
        if hmac.compare_digest(digest, token.sha256):
            found = token
    return found


def _digest(value: str) -> bytes:
    return sha256(value.encode(errors="surrogatepass")).digest()
