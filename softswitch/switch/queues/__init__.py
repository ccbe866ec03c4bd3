"""Queues of callers who wait for a user: their order, who is rung, and what a waiting caller hears."""
