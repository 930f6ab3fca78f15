"""A page to try a model on: images in, answers with their reasons, thresholds to move.

The command `hierclf app`. The page is Gradio's, served by the server of `hierclf.serving`; it takes
uploads only, opens no path that a browser names, and loads nothing from elsewhere.

    server.py   socket, start and end
    guard.py    how large a request may be, what a page may load
    layout.py   the page's parts, and what happens when one changes
    images.py   images that have passed the network once
    moves.py    where thresholds can be moved to, and what to expect there
    parts.py    answers, reasons and figures as HTML, from the templates in page/
"""
