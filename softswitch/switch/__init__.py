"""The use cases: carries out the effects of calls and rooms, and reports to them what legs and media do."""
