"""Every row and rule of the wire page for `/call`, by section; each needs a test that names it.

Short names are free, except those of commands (section 4) and events (section 8), which are the page's.
"""

_RULES = {
    1: """
        call call-slash call-websocket webrtc-route lists list-alias kill kill-alias iceservers
        call-by-id events-stream post-command
        dump-file dump-off dump-masked dump-bounded id-new id-rule id-live no-upgrade
        list-shape list-masked list-additive kill-true kill-unknown kill-hangup kill-post-only
        ice-no-null ice-turn-hmac sip-route pending-attach
    """,
    2: """
        no-hello first-command accept-first order hangup-everywhere hangup-once server-closes
        bad-command-lives setup-failure close-1000 close-1001 close-1008 close-1009 close-1011 close-1013
        ends-with-socket resume incoming sip-out
    """,
    3: """
        integers no-nulls track-ids layer-ids play-ids epoch answer-sdp error-track asr-times hangup-times
        metrics-data eou degrade field-client seq request-id
    """,
    4: """
        invite accept tts play interrupt pause resume hangup candidate mute unmute history bridge unbridge
        custom mark dtmf collect
        call-type end-of-stream-spelling voice-spelling wait-input base64 cache-key
        play-id-default offset loop gain layer
        graceful fade-out one-play-id hangup-fields ice-candidate-spelling mute-one
        option-caller option-offer option-codec option-asr option-tts option-vad option-recorder
        option-denoise option-handshake option-ipv6 option-sip option-extra option-eou option-media-pass
        option-subscribe option-inactivity option-ambiance option-samplerate option-barge-in
        spellings unknown-keys recorder-below-folder recorder-format vad-kinds vad-default no-asr-default
        tts-default callee-echo callee-tone callee-label callee-sip callee-room callee-stream
        reject ringing refer message
    """,
    5: """
        raw-binary binary-events any-size pcm-16k samplerate pcmu pcma g722 pace answer-audio
        ignored-elsewhere ahead-60s control-first
    """,
    6: """
        append replace interruption layers end-of-stream empty-terminator idle-ends order early-audio
        interrupt-nothing autohangup autohangup-own wait-input speaking-start silence-times
        play-error play-formats dtmf-rfc4733 dtmf-inband dtmf-info
    """,
    7: """
        webhook-body webhook-down accept-timeout no-pending rules
    """,
    8: """
        answer hangup speaking silence asrDelta asrFinal dtmf trackStart trackEnd interruption error metrics
        binary mark collect hold mute eou media addHistory custom ack reasons initiators media-pass-raw
        incoming ringing reject transferRequest message
    """,
}

ROWS = frozenset(f"{section}:{name}" for section, names in _RULES.items() for name in names.split())
"""What needs a test, as "section:name"."""
