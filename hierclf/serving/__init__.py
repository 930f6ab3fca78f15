"""Predictions over HTTP, of a model directory or of an exported model; the command `hierclf serve`.

The server takes bytes only: images as multipart files, as the body itself or as base64 in JSON. It
never fetches an address and never opens a path that a client names, so no request makes it read
from its own network or disk.

    server.py       socket, start and end
    connections.py  a connection that must send its requests in time
    app.py          the paths and their answers
    requests.py     from a request's body to images, within the limits
    limits.py       how much a client may ask for
    batching.py     images that wait together pass the network together
    engines.py      a model directory or an exported model, as the server uses them
    metrics.py      counts and times for Prometheus
"""
