/**
 * One call to the switch from Node: `node webrtc_peers.cjs wrtc|datachannel URL`.
 *
 * The callee is the echo. The last line of the output is JSON: what was answered, and what came back as sound.
 */

const { randomUUID } = require("node:crypto");
const WebSocket = require("ws");

const HEARD_PACKETS = 50;
const HZ = 1000;
const RATE = 48000;

/** libwebrtc without a browser. Returns {offer, answer, done, close}: `done` settles with what was heard. */
async function wrtc() {
  const { RTCPeerConnection, nonstandard } = require("@roamhq/wrtc");
  const pc = new RTCPeerConnection();
  const source = new nonstandard.RTCAudioSource();
  pc.addTrack(source.createTrack());
  let at = 0;
  const feeding = setInterval(() => {
    const samples = Int16Array.from({ length: RATE / 100 }, () => 8000 * Math.sin((2 * Math.PI * HZ * at++) / RATE));
    source.onData({ samples, sampleRate: RATE, bitsPerSample: 16, channelCount: 1, numberOfFrames: samples.length });
  }, 10);
  const done = new Promise((resolve) => {
    pc.ontrack = ({ track }) => {
      const sink = new nonstandard.RTCAudioSink(track);
      let loud = 0;
      sink.ondata = ({ samples }) => {
        // Crossings of zero tell a tone from noise: 10 ms of 1000 Hz have about twenty.
        const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
        let crossings = 0;
        for (let i = 1; i < samples.length; i++) if (samples[i - 1] < 0 !== samples[i] < 0) crossings += 1;
        if (peak > 2000 && Math.abs(crossings - 20) < 3) loud += 1;
        if (loud === HEARD_PACKETS) {
          sink.stop();
          resolve({ tone: HZ });
        }
      };
    };
  });
  await pc.setLocalDescription(await pc.createOffer());
  return {
    offer: pc.localDescription.sdp,
    answer: (sdp) => pc.setRemoteDescription({ type: "answer", sdp }),
    candidates: (send) => (pc.onicecandidate = ({ candidate }) => candidate?.candidate && send(candidate.candidate)),
    done,
    close: () => {
      clearInterval(feeding);
      pc.close();
    },
  };
}

/** libdatachannel: no codecs, so packets of Opus silence are sent and packets of Opus are counted. */
async function datachannel() {
  const nodeDataChannel = require("node-datachannel");
  const pc = new nodeDataChannel.PeerConnection("caller", { iceServers: [], bindAddress: "127.0.0.1" });
  const audio = new nodeDataChannel.Audio("0", "SendRecv");
  audio.addOpusCodec(111);
  audio.addSSRC(4711, "caller");
  const track = pc.addTrack(audio);
  const done = new Promise((resolve) => {
    let packets = 0;
    // Version 2, payload type 111: everything else is RTCP.
    track.onMessage((data) => (data[0] >> 6 === 2 && (data[1] & 0x7f) === 111 ? ++packets : 0) === HEARD_PACKETS && resolve({ packets }));
  });
  let number = 0;
  const feeding = setInterval(() => {
    if (!track.isOpen()) return;
    const packet = Buffer.alloc(15);
    packet.writeUInt16BE(0x8000 | 111, 0);
    packet.writeUInt16BE(number & 0xffff, 2);
    packet.writeUInt32BE((number++ * 960) >>> 0, 4);
    packet.writeUInt32BE(4711, 8);
    packet.set([0xf8, 0xff, 0xfe], 12);
    track.sendMessageBinary(packet);
  }, 20);
  const gathered = new Promise((resolve) => pc.onGatheringStateChange((state) => state === "complete" && resolve()));
  pc.setLocalDescription();
  await gathered;
  return {
    offer: pc.localDescription().sdp,
    answer: (sdp) => pc.setRemoteDescription(sdp, "answer"),
    candidates: () => {},
    done,
    close: () => {
      clearInterval(feeding);
      pc.close();
      nodeDataChannel.cleanup();
    },
  };
}

async function main(kind, url) {
  const peer = await { wrtc, datachannel }[kind]();
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}call/webrtc?id=${randomUUID()}`);
  const send = (command) => socket.send(JSON.stringify(command));
  const errors = [];
  const hungUp = new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("close", resolve);
    socket.on("message", (text) => {
      const event = JSON.parse(text);
      if (event.event === "error") errors.push(event.error);
      if (event.event === "answer") Promise.resolve(peer.answer(event.sdp)).catch(reject);
    });
  });
  await new Promise((resolve) => socket.on("open", resolve));
  send({ command: "invite", option: { offer: peer.offer, callee: "echo", vad: { type: "off" } } });
  peer.candidates((candidate) => send({ command: "candidate", candidates: [candidate] }));
  const heard = await Promise.race([peer.done, hungUp.then(() => ({ ended: true }))]);
  send({ command: "hangup" });
  await hungUp;
  peer.close();
  console.log(JSON.stringify({ ...heard, errors }));
  process.exit(0);
}

main(process.argv[2], process.argv[3]).catch((error) => {
  console.error(error);
  process.exit(1);
});
