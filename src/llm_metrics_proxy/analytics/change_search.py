"""Which movements are told: of all that are no chance, those that explain the others.

For each number, segments are gone through from the clearest on. One is left out if its records beyond those of a
segment that was told did not move, or if what moved is the mix of its records and not what they do. If all other
records moved alike, all of them are told in its place.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from llm_metrics_proxy.analytics.change_tables import MOVING, Keys, Moving, SumsTable, SumsTables
from llm_metrics_proxy.analytics.moved import BlockSums, Effect, Split, effect, split, whole_of
from llm_metrics_proxy.analytics.significance import threshold

RATE: Final = 0.05  # the chance that anything is told where nothing changed, at most
MOST_SEGMENTS: Final = 20  # of a dimension, those with most requests
_MOST_PARTS: Final = 50  # of a split; all further segments are one
_MOST_OF_A_NUMBER: Final = 3
_PARTS_TOLD: Final = 3
_AS_GOOD: Final = 0.8
_USUAL_P: Final = 0.05  # of one question by itself
_PAIRS: Final = (("model", "backend_name"),)  # segments of two conditions
_ALWAYS_MIXED_BY: Final = "model"
_LEFT: Final = object()  # the key of all further segments

Segment = tuple[tuple[str, Any], ...]  # dimensions with their values; none: all records


class Share(NamedTuple):
    """Part of a shift: a segment's share of the records, and what it adds to the number."""

    value: Any
    before: float
    after: float
    added: float


class ToldMovement(NamedTuple):
    """A movement worth telling; ``by`` and ``parts``: it is a shift."""

    number: Moving
    segment: Segment
    effect: Effect
    weight: float  # how much it moves the number of all records
    same: tuple[Segment, ...] = ()
    explains: int = 0
    by: str | None = None
    parts: tuple[Share, ...] = ()


class Overall(NamedTuple):
    """A number of all records. ``effect``: none where there is too little to say."""

    number: Moving
    before: float
    after: float
    n_before: int
    n: int
    effect: Effect | None
    significant: bool
    by: str | None
    split: Split | None


class Search(NamedTuple):
    """All there is to tell, and what was asked for it."""

    requests: tuple[int, int]
    tested: int
    missed: tuple[str, ...]
    overall: tuple[Overall, ...]
    told: tuple[ToldMovement, ...]


class _TestedSegment(NamedTuple):
    segment: Segment
    sums: BlockSums
    effect: Effect
    same: tuple[Segment, ...]


class _Asked(NamedTuple):
    """Everything about one number that was put to a test."""

    number: Moving
    whole: BlockSums
    effect: Effect | None
    candidates: Sequence[_TestedSegment]
    splits: Mapping[str, tuple[Split, Keys]]

    @property
    def chances(self) -> Iterator[float]:
        """Of every question."""
        if self.effect is not None:
            yield self.effect.p
        yield from (one.effect.p for one in self.candidates)
        yield from (one.mix_p for one, _ in self.splits.values())


def search(tables: SumsTables, dimensions: Sequence[str], limit: int) -> Search:
    """Raises ``StoreError``."""
    known = tables.of_each(dimensions)
    missed = tuple(name for name in dimensions if name not in known)
    if not known:
        return Search((0, 0), 0, missed, (), ())
    pairs = {
        names: table
        for names in _PAIRS
        if all(name in known and len(known[name].requests) > 1 for name in names)
        and (table := tables.by_two(*names)) is not None
    }
    asked = [one for number in MOVING if (one := _ask(number, known, pairs)) is not None]
    chances = [p for one in asked for p in one.chances]
    least = threshold(chances, RATE)
    overall, told = [], []
    for one in asked:
        told += _OfNumber(one, tables, least).told()
        overall.append(_overall(one, least))
    told.sort(key=lambda one: -one.weight)
    first = next(iter(known.values()))
    requests = tuple(sum(counts[at] for counts in first.requests.values()) for at in (0, 1))
    return Search((requests[0], requests[1]), len(chances), missed, tuple(overall), tuple(told[:limit]))


def _ask(number: Moving, known: Mapping[str, SumsTable], pairs: Mapping[tuple[str, str], SumsTable]) -> _Asked | None:
    keys = next(iter(known.values())).numbers[number.name]
    if not keys:
        return None
    whole = whole_of(keys)
    singles = [((name,), table) for name, table in known.items()]
    candidates: dict[Hashable, _TestedSegment] = {}
    for names, table in (*singles, *pairs.items()):
        for key in _largest(table, len(names)):
            sums = table.numbers[number.name].get(key)
            found = None if sums is None else effect(sums, share=number.share)
            if sums is None or found is None:
                continue
            segment = tuple(zip(names, (key,) if len(names) == 1 else key, strict=True))
            alike = _alike(sums)
            if alike in candidates:
                one = candidates[alike]
                candidates[alike] = one._replace(same=(*one.same, *([segment] if len(names) == 1 else [])))
            elif alike != _alike(whole):
                candidates[alike] = _TestedSegment(segment, sums, found, ())
    splits = {}
    for name, table in known.items():
        merged = _merged(table.numbers[number.name])
        found_split = split(merged) if len(merged) > 1 else None
        if found_split is not None:
            splits[name] = (found_split, merged)
    return _Asked(number, whole, effect(whole, share=number.share), list(candidates.values()), splits)


def _largest(table: SumsTable, names: int) -> list[Any]:
    """Those with most requests, of both periods; records that have no value are no segment to act on."""
    there = [key for key in table.requests if key is not None and (names == 1 or None not in key)]  # type: ignore[operator]
    return sorted(there, key=lambda key: (-sum(table.requests[key]), str(key)))[:MOST_SEGMENTS]


def _alike(sums: BlockSums) -> Hashable:
    """The same of segments that have the same records; sums of floats may differ in their last digits."""
    counts = tuple(tuple(n for n, _ in parts) for parts in sums)
    return counts, *(f"{total:.8g}" for _, total in sums.totals)


def _merged(keys: Keys) -> Keys:
    """Further segments than are worth a look by themselves are one."""
    if len(keys) <= _MOST_PARTS:
        return keys
    ordered = sorted(keys, key=lambda key: (-sum(n for n, _ in keys[key].totals), str(key)))
    kept = {key: keys[key] for key in ordered[:_MOST_PARTS]}
    return {**kept, _LEFT: whole_of({key: keys[key] for key in ordered[_MOST_PARTS:]})}


def _overall(asked: _Asked, least: float) -> Overall:
    (n_before, before), (n, after) = asked.whole.totals
    by = min(asked.splits, key=lambda name: asked.splits[name][0].mix_p, default=None)
    return Overall(
        asked.number,
        before / n_before if n_before else 0.0,
        after / n if n else 0.0,
        n_before,
        n,
        asked.effect,
        asked.effect is not None and asked.effect.p <= least and abs(asked.effect.change) >= asked.number.floor,
        by,
        None if by is None else asked.splits[by][0],
    )


class _OfNumber:
    """What is told of one number."""

    def __init__(self, asked: _Asked, tables: SumsTables, least: float) -> None:
        self._asked, self._tables, self._least, self._number = asked, tables, least, asked.number
        mixes = {name: abs(one.mix) for name, (one, _) in asked.splits.items() if one.mix_p <= least}
        most = max(mixes.values(), default=0)
        # of dimensions that explain as good as the same, the first that people think of
        self._shifts = sorted(mixes, key=lambda name: -min(mixes[name], most * _AS_GOOD))

    def told(self) -> list[ToldMovement]:
        """The shift between segments of the dimension that explains most, and changes."""
        found = [shift for name in self._shifts[:1] if (shift := self._shift((), name)) is not None]
        told: list[ToldMovement] = []
        sums: dict[Segment, BlockSums] = {}
        for one in sorted((each for each in self._asked.candidates if self._counts(each.effect)), key=_clearest):
            if len(told) == _MOST_OF_A_NUMBER:
                break
            explained = next((at for at, other in enumerate(told) if not self._is_apart(one, other, sums)), None)
            if explained is not None:
                told[explained] = told[explained]._replace(explains=told[explained].explains + 1)
                continue
            picked = self._picked(one)
            if picked is not None:
                told.append(picked)
                sums[picked.segment] = next(
                    (each.sums for each in self._asked.candidates if each.segment == picked.segment), one.sums
                )
        whole = self._asked.effect
        if not told and whole is not None and self._counts(whole) and not self._whole_is_mixed():
            told.append(self._told((), whole, self._asked.whole))
        return [*found, *told]

    def _counts(self, one: Effect) -> bool:
        return one.p <= self._least and abs(one.change) >= self._number.floor

    def _told(self, segment: Segment, one: Effect, sums: BlockSums, same: tuple[Segment, ...] = ()) -> ToldMovement:
        return ToldMovement(self._number, segment, one, self._weight(one.after - one.before, sums), same)

    def _weight(self, moved: float, sums: BlockSums) -> float:
        """How far it moves the number of all records: relative; ten times a difference of shares."""
        (n_before, before), (n, _) = self._asked.whole.totals
        (m_before, _), (m, _) = sums.totals
        share = (m_before / n_before + m / n) / 2
        return abs(moved) * share * 10 if self._number.share else abs(moved) * share / (before / n_before)

    def _picked(self, one: _TestedSegment) -> ToldMovement | None:
        """It, all records in its place, or the shift that it is."""
        for name in self._mixed_by(one.segment):
            keys = self._within(one.segment, name)
            if keys is None:
                if name in self._shifts:
                    return None  # a shift that is known of may be all there is to it
                continue
            found = split(keys) if len(keys) > 1 else None
            if found is not None and _is_mix(found):
                known = name in self._shifts or found.mix_p > self._least
                return None if known else self._shift(one.segment, name, keys, found)
        for other in self._around(one):
            if self._moved_alike(one, other):
                one = other
                break
        whole = self._asked.effect
        if whole is not None and not self._whole_is_mixed():
            everything = _TestedSegment((), self._asked.whole, whole, ())
            if self._moved_alike(one, everything):
                one = everything
        return self._told(one.segment, one.effect, one.sums, one.same)

    def _around(self, one: _TestedSegment) -> list[_TestedSegment]:
        """Segments of one of its two conditions."""
        conditions = set(one.segment)
        return [other for other in self._asked.candidates if set(other.segment) < conditions]

    def _moved_alike(self, one: _TestedSegment, around: _TestedSegment) -> bool:
        """Whether what is around it moved, too, by half as much or more."""
        rest = effect(around.sums - one.sums, share=self._number.share)
        if rest is None or rest.change * one.effect.change <= 0:
            return False
        return rest.p <= _USUAL_P and abs(rest.change) >= abs(one.effect.change) / 2

    def _whole_is_mixed(self) -> bool:
        return any(_is_mix(self._asked.splits[name][0]) for name in self._shifts)

    def _mixed_by(self, segment: Segment) -> list[str]:
        """Dimensions whose mix may be what moved."""
        own = {name for name, _ in segment}
        return [name for name in dict.fromkeys((*self._shifts[:2], _ALWAYS_MIXED_BY)) if name not in own]

    def _within(self, segment: Segment, name: str) -> Keys | None:
        """A segment's records by another dimension; ``None``: not known."""
        if len(segment) > 1:
            return None
        ((own, value),) = segment
        table = self._tables.by_two(own, name)
        if table is None:
            return None
        found: dict[Hashable, BlockSums] = {}
        for key, sums in table.numbers[self._number.name].items():
            first, second = cast("tuple[Hashable, Hashable]", key)
            if first == value:
                found[second] = sums
        return _merged(found)

    def _is_apart(self, one: _TestedSegment, other: ToldMovement, sums: Mapping[Segment, BlockSums]) -> bool:
        """Whether its records moved even without those of the other, as far as that can be known."""
        if other.by is not None and not other.segment:
            return True
        if not other.segment:
            return other.effect.change * one.effect.change < 0
        left = self._without(one, other.segment, sums)
        rest = None if left is None else effect(left, share=self._number.share)
        return rest is not None and self._counts(rest) and rest.change * one.effect.change > 0

    def _without(self, one: _TestedSegment, other: Segment, sums: Mapping[Segment, BlockSums]) -> BlockSums | None:
        mine, theirs = dict(one.segment), dict(other)
        common = mine.keys() & theirs.keys()
        if any(mine[name] != theirs[name] for name in common):
            return one.sums
        if common:
            return one.sums - sums[other] if theirs.keys() >= mine.keys() else None
        if len(mine) > 1:
            return None
        ((own, value),) = mine.items()
        ((name, their_value),) = theirs.items() if len(theirs) == 1 else ((None, None),)
        table = None if name is None else self._tables.by_two(own, name)
        if table is None:
            return None
        both = table.numbers[self._number.name].get((value, their_value))
        return one.sums if both is None else one.sums - both

    def _shift(
        self, segment: Segment, by: str, keys: Keys | None = None, found: Split | None = None
    ) -> ToldMovement | None:
        """A shift between the segments of a dimension, of all records or of a segment's; ``None``: too small to tell.
        Where it stands for itself, what moves is the mix alone."""
        if found is None or keys is None:
            found, keys = self._asked.splits[by]
        whole = whole_of(keys)
        (n_before, _), (n, _) = whole.totals
        scale = 1.0 if self._number.share else found.before
        moved, off = (found.mix / scale, found.mix_off / scale) if scale else (0.0, 0.0)
        if abs(moved) < self._number.floor or found.mix_p > self._least:
            return None
        parts = [
            Share(key, keys[key].totals[0][0] / n_before, keys[key].totals[1][0] / n, added)
            for key, added in found.of_segments.items()
            if key is not _LEFT and isinstance(added, float)
        ]
        parts.sort(key=lambda one: -abs(one.after - one.before))
        after, ends = found.before + found.mix, (moved - off, moved + off)
        mixed = Effect(found.before, after, n_before, n, moved, *ends, found.mix_p, 0.0)
        weight = self._weight(found.mix, whole)
        return ToldMovement(self._number, segment, mixed, weight, by=by, parts=tuple(parts[:_PARTS_TOLD]))


def _is_mix(one: Split) -> bool:
    """Whether most of what moved is the mix."""
    moved = one.after - one.before
    return one.within * moved <= 0 or abs(one.within) < abs(moved) / 2


def _clearest(one: _TestedSegment) -> tuple[float, int]:
    return -one.effect.strength, len(one.segment)
