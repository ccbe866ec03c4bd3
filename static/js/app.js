/** Puts the page together: the only module that knows all the others. */

import { Administration } from "./admin/administration.js";
import { RoomSession } from "./call/room.js";
import { Session } from "./call/session.js";
import { Sound } from "./call/sound.js";
import { Overview } from "./overview/overview.js";
import { Supervise } from "./overview/supervise.js";
import { server } from "./server.js";
import { translate } from "./text.js";
import { wireAccess } from "./view/access.js";
import { CallDetail } from "./view/call-detail.js";
import { Calls } from "./view/calls.js";
import { wireComeBack } from "./view/come-back.js";
import { Devices } from "./view/devices.js";
import { Dial } from "./view/dial.js";
import { byId } from "./view/dom.js";
import { History } from "./view/history.js";
import { Keypad } from "./view/keypad.js";
import { Levels } from "./view/levels.js";
import { Log } from "./view/log.js";
import { Network } from "./view/network.js";
import { checkContext } from "./view/notice.js";
import { Phones } from "./view/phones.js";
import { Recordings } from "./view/recordings.js";
import { Ribbon } from "./view/ribbon.js";
import { Rooms } from "./view/rooms.js";
import { Setup } from "./view/setup.js";
import { Speak } from "./view/speak.js";
import { Stage } from "./view/stage.js";
import { wireTabs } from "./view/tabs.js";
import { wireTheme } from "./view/theme.js";
import { Timeline } from "./view/timeline.js";
import { Transcript } from "./view/transcript.js";
import { wireTransfer } from "./view/transfer.js";
import { Voicemail } from "./view/voicemail.js";
import { Voices } from "./view/voices.js";
import { Welcome } from "./view/welcome.js";

translate();

const session = new Session(server, new Sound());
const ribbon = new Ribbon(byId("ribbon"));
const voices = new Voices(server);
const setup = new Setup(session, voices);
const calls = new Calls(session, server, new History(server));
const detail = new CallDetail(server);
const overview = new Overview(server);
const supervise = new Supervise(session, server, () => setup.options);
const administration = new Administration(server, () => voices.load());
const phones = new Phones(session, server, () => setup.options);
const room = new RoomSession(server, new Sound());
const rooms = new Rooms(room, server);
const recordings = new Recordings(server);
const voicemail = new Voicemail(server);

new Stage(session, room, () => setup.options);
new Levels(session, ribbon);
new Devices(session, setup);
new Transcript(session);
new Speak(session, setup, voices);
new Keypad(session);
new Timeline(session, ribbon);
new Network(session);
new Log(session);
new Dial(session, () => setup.options);
wireTransfer(session);

wireTheme(byId("theme"));
wireTabs(byId("inspector"));

const wanted = location.hash;
let shownView = "view-talk";
const showView = wireTabs(byId("views"), (view) => {
  shownView = view;
  const hash = view === "view-talk" ? "" : `#${view.slice(5)}`;
  if (!hash || !location.hash.startsWith(hash))
    history.replaceState(null, "", location.pathname + location.search + hash);
  calls.visible(view === "view-calls");
  overview.visible(view === "view-overview");
  supervise.visible(view === "view-overview");
  administration.visible(view === "view-admin");
  if (view !== "view-calls") detail.stop();
  phones.visible(view === "view-phones");
  rooms.visible(view === "view-rooms");
  recordings.visible(view === "view-recordings");
  voicemail.visible(view === "view-recordings");
});

const opens = {
  recordings: (name) => recordings.open({ name }),
  calls: (id) => detail.open(id),
  admin: (kind) => administration.open(kind),
};

/** An address may name a view, and one thing in it: `#recordings/<name>`, `#calls/<id>`, `#admin/<kind>`. */
function follow(hash) {
  const [view, name] = hash.slice(1).split("/");
  showView(`view-${view || "talk"}`);
  // The view alone is in the address by now: what is open in it belongs there, too.
  if (name) history.replaceState(null, "", `${location.pathname}${location.search}${hash}`);
  if (name) opens[view]?.(decodeURIComponent(name));
  else if (view === "calls") detail.close();
}
addEventListener("hashchange", () => follow(location.hash));
if (wanted) follow(wanted);
wireAccess(() => {
  showView(shownView);
  voices.load();
});
byId("call").disabled = !checkContext();
new Welcome(session, () => setup.options, showView);
voices.load();
if (!byId("call").disabled) wireComeBack(session);

/** For the browser's console and for tests: the running session with its sound. */
globalThis.softswitch = { session, room, server };
