/** Where the switch is and how to ask it: addresses, the API key, JSON over HTTP. */

/**
 * The switch that served this file: what is above `static/`, so a path prefix is kept. The folder of the version, which
 * lets browsers keep the files of this page for good, may be in between.
 */
const HOME = new URL(import.meta.url.replace(/static\/(?:v-[0-9a-f]+\/)?js\/server\.js.*$/, ""));
const KEY_SLOT = "softswitch.api-key";
/** What a sub-protocol may be made of (RFC 9110, token). */
const PROTOCOL_TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

/** An answer that is not 2xx. `status` is 0 when the switch could not be reached. */
export class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.name = "ServerError";
    this.status = status;
  }
}

export class Server {
  /** @param {URL|string} [base] address of the switch, with its path prefix and a closing slash. */
  constructor(base = HOME, { token = "" } = {}) {
    this.base = new URL(base, document.baseURI);
    this.token = token;
  }

  /** HTTP address of `path`; `query` entries that are empty are left out. */
  url(path, query = {}) {
    const url = new URL(path, this.base);
    for (const [name, value] of Object.entries(query)) {
      if (value !== "" && value !== null && value !== undefined) url.searchParams.set(name, value);
    }
    return url;
  }

  /** Address for a media element or a download link: these cannot carry a header, so the key is in the query. */
  fileUrl(path) {
    return this.url(path, { token: this.token });
  }

  /** Open a WebSocket. It cannot carry a header either, but a sub-protocol, which no proxy writes into its log. */
  socket(path, query = {}) {
    const speakable = PROTOCOL_TOKEN.test(this.token);
    const url = this.url(path, speakable ? query : { ...query, token: this.token });
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return new WebSocket(url, speakable ? ["softswitch", `softswitch.token.${this.token}`] : []);
  }

  /** Fetch `path` and return the response; raise ServerError with a sentence a person can act on. */
  async request(path, { method = "GET", body, signal } = {}) {
    const headers = {};
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(this.url(path), { method, headers, body: body && JSON.stringify(body), signal });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ServerError("The switch cannot be reached.", 0);
    }
    if (!response.ok) throw new ServerError(await explain(response), response.status);
    return response;
  }

  /**
   * Read server-sent events until the stream ends or `signal` aborts it. `EventSource` would put the key into the address.
   * @param {(name: string, data: any) => void} onEvent
   */
  async stream(path, signal, onEvent) {
    const response = await this.request(path, { signal });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (text + value).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const data = /^data: (.*)$/m.exec(block)?.[1];
        if (data) onEvent(/^event: (.*)$/m.exec(block)?.[1] ?? "message", JSON.parse(data));
      }
    }
  }

  async json(path, options) {
    return (await this.request(path, options)).json();
  }
}

async function explain(response) {
  if (response.status === 401) return "The switch asks for an API key.";
  if (response.status === 403) return "This API key may not do that.";
  const text = (await response.text()).trim();
  try {
    const { message } = JSON.parse(text).error;
    if (message) return message;
  } catch {
    // Not the switch's own form (a proxy's, say): the plain text serves as well.
  }
  return text && text.length < 200 ? text : `The switch answered ${response.status} ${response.statusText}.`;
}

/** The page's own server, with the key that this tab remembers. */
export const server = new Server();
server.token = sessionStorage.getItem(KEY_SLOT) ?? "";

/** Keep the API key for this tab only; an empty one forgets it. */
export function rememberKey(key) {
  server.token = key.trim();
  if (server.token) sessionStorage.setItem(KEY_SLOT, server.token);
  else sessionStorage.removeItem(KEY_SLOT);
}
