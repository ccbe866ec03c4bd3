"""Offers as real peers write them, shortened to what matters (sections and attributes in their order)."""

FINGERPRINT = ":".join(["AB"] * 32)

CHROME = f"""v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS 4f0e
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:F7gI
a=ice-pwd:x9cml/YzichV2+XlhiMu8g4K
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=sendrecv
a=msid:4f0e 3a1c
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:3570614608 cname:4TOk42mSjXCkVIa6
"""
"""Chromium: audio only, candidates trickled."""

FIREFOX = f"""v=0
o=mozilla...THIS_IS_SDPARTA-99.0 4294967295 0 IN IP4 0.0.0.0
s=-
t=0 0
a=sendrecv
a=fingerprint:sha-256 {FINGERPRINT}
a=group:BUNDLE 0 1
a=ice-options:trickle
a=msid-semantic:WMS *
m=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101
c=IN IP4 0.0.0.0
a=sendrecv
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1
a=fmtp:101 0-15
a=ice-pwd:2d1a4c1ce7e1d9b4c8a1dc9f6dff0a9e
a=ice-ufrag:7a3f1b2c
a=mid:0
a=rtcp-mux
a=rtpmap:109 opus/48000/2
a=rtpmap:9 G722/8000/1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000/1
a=setup:actpass
a=ssrc:2655508255 cname:{{735484ea-4f6c-f74a-bd66-7425f8476c2e}}
m=video 9 UDP/TLS/RTP/SAVPF 120
c=IN IP4 0.0.0.0
a=ice-pwd:2d1a4c1ce7e1d9b4c8a1dc9f6dff0a9e
a=ice-ufrag:7a3f1b2c
a=mid:1
a=rtcp-mux
a=rtpmap:120 VP8/90000
a=setup:actpass
"""
"""Firefox: the fingerprint stands at the session, events at 8000 only, a second section with video."""

SAFARI = (
    CHROME.replace("F7gI", "Yk3W")
    .replace("111 63 9 0 8 13 110 126", "111 63 9 102 0 8 13 110 126")
    .replace("a=rtpmap:9 G722/8000\n", "a=rtpmap:9 G722/8000\na=rtpmap:102 ILBC/8000\n")
)
"""Safari: as Chromium, with iLBC."""

PION = f"""v=0
o=- 7243523651 1700000000 IN IP4 0.0.0.0
s=-
t=0 0
a=fingerprint:sha-256 {FINGERPRINT}
a=extmap-allow-mixed
a=group:BUNDLE 0
m=audio 9 UDP/TLS/RTP/SAVPF 0
c=IN IP4 0.0.0.0
a=setup:actpass
a=mid:0
a=ice-ufrag:KhXxNlgoCLBhKOnO
a=ice-pwd:dBPjLFQVDjmVxMXtDdWlkQfcIEcDXrXm
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:0 PCMU/8000
a=ssrc:1823654712 cname:audio
a=sendrecv
a=candidate:233762139 1 udp 2130706431 192.0.2.7 51234 typ host ufrag KhXxNlgoCLBhKOnO
a=candidate:233762139 2 udp 2130706431 192.0.2.7 51234 typ host ufrag KhXxNlgoCLBhKOnO
a=end-of-candidates
"""
"""pion (the Go client): one codec, candidates in the offer."""

ALL = {"chrome": CHROME, "firefox": FIREFOX, "safari": SAFARI, "pion": PION}
