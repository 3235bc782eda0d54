"""Roll-ups: what is known of many records at once, kept small enough to answer for millions of them in milliseconds.

Pure: columns of records in, groups out; and bytes, as the store keeps them. The only room that knows numpy, besides
those that read from it (``storage``, ``analytics``). Workers never import it.

* ``values`` and ``grains`` are tables: which numbers are kept, by what, and how finely in time.
* ``sketch`` turns values into slots of a logarithmic histogram and back (relative error 1 %).
* ``groups`` holds moments and slots of any number of groups as arrays, adds them up and packs them into bytes.
* ``tally`` makes groups of records; ``banks`` says how any number of fields is stored.
* ``aggregates`` is what a reader sees of one group.
* ``cover`` cuts a range of time into whole buckets and the pieces left over.
"""
