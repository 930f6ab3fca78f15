"""Models as repositories of the Hugging Face Hub: a model directory with a card.

card.py        the README.md, with what the Hub reads in its first lines
folder.py      the files of a repository
repository.py  upload and download
addresses.py   where a model is: a path, the Hub, or an object store
"""
