"""The common call model: commands in, events and effects out, reports from below; sans-I/O.

All dialects meet here: they translate their wire text to :mod:`softswitch.call.commands` and from
:mod:`softswitch.call.events`. The switch carries out :mod:`softswitch.call.effects` and brings
:mod:`softswitch.call.reports`.
"""
