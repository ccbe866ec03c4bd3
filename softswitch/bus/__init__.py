"""Bus between the processes of one switch: topics, requests, leases, and entries with the life of a node."""
