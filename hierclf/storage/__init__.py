"""Object stores and file systems by address, such as s3://BUCKET/FOLDER.

address.py  what is an address, and what of it is the bucket, the key and the options
store.py    open one by pyarrow or fsspec; bounded retries, errors in one line
listing.py  the files at an address, with sizes and times
fetch.py    copies of them on this machine, brought up to date
remote_reader.py  bytes of them without a copy
send.py     copies of this machine's files in a store
"""
