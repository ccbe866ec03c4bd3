/** Puts the page together: the only module that knows all the others. */

import { RoomSession } from "./call/room.js";
import { Session } from "./call/session.js";
import { Sound } from "./call/sound.js";
import { server } from "./server.js";
import { wireAccess } from "./view/access.js";
import { Calls } from "./view/calls.js";
import { Devices } from "./view/devices.js";
import { Dial } from "./view/dial.js";
import { byId } from "./view/dom.js";
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

const session = new Session(server, new Sound());
const ribbon = new Ribbon(byId("ribbon"));
const setup = new Setup(session);
const calls = new Calls(session, server);
const phones = new Phones(session, server, () => setup.wish);
const room = new RoomSession(server, new Sound());
const rooms = new Rooms(room, server);
const recordings = new Recordings(server);

new Stage(session, () => setup.wish);
new Levels(session, ribbon);
new Devices(session, setup);
new Transcript(session);
new Speak(session, setup);
new Keypad(session);
new Timeline(session, ribbon);
new Network(session);
new Log(session);
new Dial(session, () => setup.wish);
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
  phones.visible(view === "view-phones");
  rooms.visible(view === "view-rooms");
  recordings.visible(view === "view-recordings");
});

/** An address may name a view, and one recording in it: `#recordings/<name>`. */
function follow(hash) {
  const [view, name] = hash.slice(1).split("/");
  showView(`view-${view || "talk"}`);
  if (name) recordings.open({ name: decodeURIComponent(name) });
}
addEventListener("hashchange", () => follow(location.hash));
if (wanted) follow(wanted);
wireAccess(() => showView(shownView));
byId("call").disabled = !checkContext();

/** For the browser's console and for tests: the running session with its sound. */
globalThis.softswitch = { session, room, server };
