"""Every row and rule of the page for Wavix, by section; each needs a test that names it by its name here."""

_RULES = {
    1: """
        prefixes auth-appid auth-bearer originate spellings answer answer-once answer-absent-body
        streams streams-optional stop-stream stop-stream-answer list get patch-tag hang-up
        play stop-audio tts transfer collect collect-attempts
        webhooks-get webhooks-post webhooks-delete webhooks-before-id feed feed-not-sip
        call-object success-200 post-webhook-201
        error-shape error-401 error-validation error-every-field error-stream-url error-404
        refuse-second-twoway refuse-sixth-oneway refuse-not-answered never-retried draining-503 not-built
        numbers ours-users-uri-echo-room caller-ids callback-order webhook-format all-three-fields
        account signed ordered not-awaited timeout tries event-types one-event-before-answer
        inside-the-reply post-call both-dialects
    """,
    2: """
        connected start media mark stop in-media in-mark in-clear
        verbatim-url text-frames integers timestamp-ms timestamp-rtp event-time twoway-inbound-only
        channel-echoed inbound-outbound limits counters two-frames-first
    """,
    3: """
        wrong-stream-id ignored real-time-pacing drain beyond-120s silent-leg slow-reader dial-fails
        abnormal-drop reconnect call-ends hangup-on-close
        extra-dtmf extra-mark-status extra-start signature extra-hangup
    """,
}

ROWS = frozenset(f"{section}:{name}" for section, names in _RULES.items() for name in names.split())
"""What needs a test, as "section:name"."""
