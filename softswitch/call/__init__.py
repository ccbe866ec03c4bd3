"""The common call model, without I/O: commands and reports go in, events and effects come out.

Dialects translate their wire text to :mod:`softswitch.call.vocabulary.commands` and from
:mod:`softswitch.call.vocabulary.events`. The switch executes :mod:`softswitch.call.vocabulary.effects` and
delivers :mod:`softswitch.call.vocabulary.reports`.
"""
