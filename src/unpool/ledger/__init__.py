"""What was run: a record in the folder of every training and test, found and read again.

The records are the truth and the only copy; there is no index that could be stale.
"""

from unpool.ledger.folders import Entry, Found, Unreadable, find, pick, read_record, write_record
from unpool.ledger.record import RECORD_FILE, Code, Data, Model, Process, Record, digest, file_digest, present_code
from unpool.ledger.selection import ORDERS, Order, Wanted, select

__all__ = [
    "ORDERS",
    "RECORD_FILE",
    "Code",
    "Data",
    "Entry",
    "Found",
    "Model",
    "Order",
    "Process",
    "Record",
    "Unreadable",
    "Wanted",
    "digest",
    "file_digest",
    "find",
    "pick",
    "present_code",
    "read_record",
    "select",
    "write_record",
]
