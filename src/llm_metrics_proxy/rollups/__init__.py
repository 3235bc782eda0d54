"""Roll-ups: aggregates of many records, small enough to answer for millions of them in milliseconds.

Pure: columns of records in, groups out; and bytes, as the store keeps them. Only this room and its readers
(``storage``, ``analytics``) know numpy. Workers never import it.

* ``values`` and ``grains`` are tables: which numbers are kept, by what, and how finely in time.
* ``sketch`` turns values into slots of a logarithmic histogram and back (relative error 1 %).
* ``groups`` holds moments and slots of any number of groups as arrays, adds them up and packs them into bytes.
* ``tally`` makes groups of records, ``entries`` their cells and bins; ``banks`` stores any number of fields.
* ``aggregates`` is one group as readers see it.
* ``cover`` cuts a range of time into whole buckets and the pieces left over.
"""
