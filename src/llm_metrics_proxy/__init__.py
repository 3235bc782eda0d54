"""A transparent reverse proxy for LLM servers that leaves one trustworthy record per request.

Glossary, used with these meanings everywhere:

exchange    one request and its response, as the proxy sees both sides of it
record      what an exchange leaves behind: one row of ``completion_requests``
downstream  the client's side; upstream: the LLM server's side
frame       one length-prefixed, checksummed message in a journal segment
segment     one journal file; a worker writes one after another, the metrics process reads and deletes them
raw fact    a column that was observed and is never changed after insertion
derived     a column that is a pure function of raw facts and an ``app_version``
dialect     one API's way to put models, tokens, finish reasons and errors on the wire
"""
