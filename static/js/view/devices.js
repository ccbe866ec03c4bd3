/** The microphone and speaker pickers. They follow what is plugged in, and act on a running call. */

import { t } from "../text.js";
import { canChooseSpeaker, listDevices } from "../call/sound.js";
import { build, byId } from "./dom.js";
import { showNotice } from "./notice.js";

export class Devices {
  constructor(session, setup) {
    this.session = session;
    this.setup = setup;
    byId("speaker-field").hidden = !canChooseSpeaker();
    byId("output-device").addEventListener("change", ({ target }) => this.chooseSpeaker(target.value));
    for (const name of ["microphone", "echo", "noise", "gain"]) {
      setup.form.elements[name].addEventListener("change", () => this.changeMicrophone());
    }
    navigator.mediaDevices?.addEventListener("devicechange", () => this.refresh());
    // Labels are withheld until the first permission, which a call asks for.
    session.addEventListener("state", ({ detail }) => detail.state === "connected" && this.refresh());
    this.refresh();
  }

  async refresh() {
    const { microphones, speakers } = await listDevices();
    fill(byId("microphone"), microphones, "Microphone");
    fill(byId("output-device"), speakers, "Speaker");
  }

  async chooseSpeaker(id) {
    try {
      await this.session.sound.chooseSpeaker(id);
    } catch (error) {
      showNotice(t("The speaker could not be used: {why}", { why: error.message }));
    }
  }

  async changeMicrophone() {
    try {
      await this.session.changeMicrophone(this.setup.microphoneOptions);
    } catch (error) {
      showNotice(error.message);
    }
  }
}

function fill(select, devices, kind) {
  const chosen = select.value;
  const others = devices.filter(({ deviceId }) => deviceId !== "default" && deviceId !== "communications");
  const option = ({ deviceId, label }, index) => build("option", { value: deviceId }, label || `${t(kind)} ${index + 1}`);
  select.replaceChildren(build("option", { value: "" }, t("System default")), ...others.map(option));
  select.value = others.some(({ deviceId }) => deviceId === chosen) ? chosen : "";
}
