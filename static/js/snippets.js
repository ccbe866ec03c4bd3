/**
 * What was just done, as code for a shell, Python and JavaScript.
 * The API key is never written out: it comes from the environment of the one who runs the code.
 */

export const LANGUAGES = [
  { id: "curl", label: "curl" },
  { id: "python", label: "Python" },
  { id: "javascript", label: "JavaScript" },
];

const KEY = "SOFTSWITCH_KEY";
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A request over HTTP. `body` is JSON text or empty. */
export function requestSnippet(kind, server, { method = "GET", path, body = "" }) {
  const url = server.url(path).href;
  const keyed = Boolean(server.token);
  if (kind === "curl") {
    const parts = ["curl", method === "GET" ? "" : `-X ${method}`];
    if (keyed) parts.push(`-H "Authorization: Bearer $${KEY}"`);
    if (body) parts.push(`-H 'Content-Type: application/json' --data ${shell(body)}`);
    return [...parts, shell(url)].filter(Boolean).join(" ");
  }
  const headers = [];
  if (kind === "python") {
    if (keyed) headers.push(`"Authorization": "Bearer " + os.environ["${KEY}"]`);
    if (body) headers.push('"Content-Type": "application/json"');
    return [
      keyed ? "import os" : "",
      "import urllib.request",
      "",
      "request = urllib.request.Request(",
      `    ${JSON.stringify(url)},`,
      `    method="${method}",`,
      headers.length ? `    headers={${headers.join(", ")}},` : "",
      body ? `    data=${JSON.stringify(body)}.encode(),` : "",
      ")",
      "with urllib.request.urlopen(request) as answer:",
      "    print(answer.read().decode())",
    ]
      .filter((line, at) => line || at === 2)
      .join("\n");
  }
  if (keyed) headers.push(`Authorization: \`Bearer \${process.env.${KEY}}\``);
  if (body) headers.push('"Content-Type": "application/json"');
  const options = [`method: "${method}"`];
  if (headers.length) options.push(`headers: { ${headers.join(", ")} }`);
  if (body) options.push(`body: JSON.stringify(${body})`);
  return `const answer = await fetch(${JSON.stringify(url)}, {\n  ${options.join(",\n  ")},\n});\nconsole.log(await answer.text());`;
}

/**
 * A call with its commands, over the WebSocket that carries the sound too; for curl one command to a call that is up.
 * @param {object[]} commands as they were sent, the invite first.
 */
export function callSnippet(kind, server, id, commands) {
  if (kind === "curl") {
    return commands
      .filter(({ command }) => command !== "invite" && command !== "accept")
      .map((command) =>
        requestSnippet("curl", server, { method: "POST", path: `command/${encodeURIComponent(id)}`, body: JSON.stringify(command) }),
      )
      .join("\n");
  }
  const url = server.url("call");
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const said = commands.map(plain);
  return kind === "python" ? pythonCall(url.href, said, server.token) : javascriptCall(url.href, said, server.token);
}

/** A command without what belongs to the browser's connection. */
function plain({ requestId: _, ...command }) {
  if (!command.option) return command;
  const { offer: _offer, trickle: _trickle, codec: _codec, ...option } = command.option;
  return { ...command, option };
}

function pythonCall(url, commands, token) {
  const lines = commands.map((command) => `    ${JSON.stringify(JSON.stringify(command))},`);
  return `# pip install aiohttp
import asyncio
import json
${token ? "import os\n" : ""}
import aiohttp

COMMANDS = [
${lines.join("\n")}
]

async def main():
    headers = ${token ? `{"Authorization": "Bearer " + os.environ["${KEY}"]}` : "{}"}
    async with aiohttp.ClientSession(headers=headers) as client, client.ws_connect(${JSON.stringify(url)}) as call:
        for command in COMMANDS:
            await call.send_str(command)
        async for message in call:
            if message.type is aiohttp.WSMsgType.TEXT:
                print(json.loads(message.data))

asyncio.run(main())
`;
}

function javascriptCall(url, commands, token) {
  const protocols = token ? `, ["softswitch", \`softswitch.token.\${process.env.${KEY}}\`]` : "";
  return `const commands = ${JSON.stringify(commands, null, 2)};

const call = new WebSocket(${JSON.stringify(url)}${protocols});
call.binaryType = "arraybuffer";
call.onopen = () => commands.forEach((command) => call.send(JSON.stringify(command)));
call.onmessage = ({ data }) => {
  if (typeof data === "string") console.log(JSON.parse(data)); // Otherwise: sound, PCM16 at 16 kHz.
};
`;
}
