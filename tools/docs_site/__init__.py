"""The documentation as a site: for the web (``make docs``) and, without pictures, for ``/help`` of an installation.

    python -m tools.docs_site site FOLDER    # FOLDER/VERSION, beside the versions that are there already
    python -m tools.docs_site help           # into the package, as `make docs` and tools/build_hook.py do

``shelves`` says what stands where, ``pages`` makes of a page of the repository one of the site, Zensical renders, and
``finish`` makes the result fit for a strict policy and checks it. Whatever is not right ends it: a link or an anchor
that leads nowhere, a page that is on no shelf, anything that a browser would fetch from elsewhere.

Packages are built without the program's own dependencies, so nothing here imports it: the pages of the reference that
are made from the program lie in ``docs/`` and are renewed by ``tools/write_docs.py``.
"""
