"""Wire structs of the `/call` dialect and of Wavix streams: one definition each.

Used by the dialects, by `softswitch.client` and by the API pages.
"""
