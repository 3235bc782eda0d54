"""The built-in simulated LLM server: nothing it says was computed by a model, and every answer says so.

It speaks OpenAI's API with believable timing, so that dashboards, tests and newcomers have something to look at before
a real server is there. It stands alone: nothing here knows the proxy, and only ``cli`` and the supervisor start it.

options   the options of a demo server          models    the table of simulated models and their speeds
asked     reading a request                     answers   what a model "says", seeded
wire      the same as OpenAI's JSON and events  faults    what can go wrong, on demand too
app       the ASGI application                  traffic   clients that use it
conversations  of those clients, with sessions that grow
prefixes  the prompt cache                      subscription  windows of a subscription
server    listening, signals, stopping
"""
