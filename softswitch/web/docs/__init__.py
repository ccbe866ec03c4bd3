"""Descriptions of the interfaces: made from the structs themselves, shown without any request outside."""
