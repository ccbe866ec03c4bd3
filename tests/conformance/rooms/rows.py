"""Every line of the wire page for rooms and every example of the document; each needs a test."""

ROWS = frozenset(
    """
    create get list update delete join list-participants leave-rest get-session
    ws-auth ws-join ws-leave ws-offer ws-answer ws-candidate ws-mute
    ev-joined ev-participant-joined ev-participant-left ev-offer ev-answer ev-candidate
    ev-stream-started ev-stream-stopped ev-error ev-closed
    e-room-not-found e-room-full e-already-joined e-not-in-room e-invalid-token e-webcrtc e-timeout
    room-states participant-states client-states
    one-port cases p2p-relays mix-answers topology-default p2p-no-recording p2p-two mix-cap cap-absent
    voice-codec voice-bitrate patch-deep echoed record-idle record-running-p2p
    last-left deleted closed-listable closed-join
    left-reasons connected-when state-message grace connection-lost come-back
    bind-rest joined-twice auth-required auth-key auth-late auth-exp
    sessions stats-switch stats-client stats-none restart sessions-of-room
    http-errors http-422 page-bounds status-filter hangs-up mute-mix mute-p2p voice-mix voice-p2p
    call-room call-unknown-room call-p2p route-room bot tts-room record-mix
    """.split()
)
