"""An MCP server: tools by which agents ask about records. They read, and their answers are small.

A tool turns its arguments into one question of the metrics API (``tools``), and what that answers into few words
(``telling``), with a link to the dashboard (``links``). So scopes, limits and error messages are the API's own. All of
this is pure; ``server`` speaks the protocol, by the official library, an extra that is known here alone, and
``standard_streams`` carries it over standard input and output.

``api`` serves it below ``/mcp``, ``processes`` on standard input and output.
"""
