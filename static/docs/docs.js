// Draws an OpenAPI or AsyncAPI document. Everything comes from this switch; no other server is asked.

const sockets = location.pathname.replace(/\/$/, "").endsWith("/ws");
const source = sockets ? "/docs/asyncapi.json" : "/docs/openapi.json";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function resolve(api, schema) {
  let found = schema;
  while (found?.$ref) found = found.$ref.slice(2).split("/").reduce((at, key) => at[key], api);
  return found ?? {};
}

function typeOf(api, schema) {
  const found = resolve(api, schema);
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (found.enum) return found.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (found.anyOf) return found.anyOf.map((one) => typeOf(api, one)).join(" | ");
  if (found.type === "array") return `${typeOf(api, found.items ?? found.prefixItems?.[0] ?? {})}[]`;
  if (found.type === "object" && found.properties) return found.title ?? "object";
  const bounds = [];
  if (found.minimum !== undefined) bounds.push(`≥ ${found.minimum}`);
  if (found.maximum !== undefined) bounds.push(`≤ ${found.maximum}`);
  if (found.maxLength !== undefined) bounds.push(`≤ ${found.maxLength} characters`);
  if (found.contentEncoding) bounds.push(found.contentEncoding);
  return [found.type ?? "any", ...bounds].join(" ");
}

function inner(api, schema) {
  const found = resolve(api, schema);
  if (found.properties) return found;
  if (found.anyOf) return found.anyOf.map((one) => inner(api, one)).find(Boolean);
  if (found.type === "array" && found.items) return inner(api, found.items);
  return undefined;
}

function rows(api, schema, prefix = "", depth = 0) {
  const found = inner(api, schema);
  if (!found || depth > 3) return [];
  const required = new Set(found.required ?? []);
  return Object.entries(found.properties).flatMap(([name, field]) => {
    const shown = resolve(api, field);
    const description = field.description ?? (shown.properties ? "" : shown.description) ?? "";
    const fallback = shown.default !== undefined && shown.default !== null && shown.default !== "" ? ` Default: ${JSON.stringify(shown.default)}.` : "";
    const row = element("tr", {},
      element("td", {}, element("code", {}, prefix + name), required.has(name) ? " *" : ""),
      element("td", {}, element("code", {}, typeOf(api, field))),
      element("td", {}, description + fallback));
    return [row, ...rows(api, field, `${prefix}${name}.`, depth + 1)];
  });
}

function table(api, schema) {
  const body = rows(api, schema);
  if (!body.length) return element("p", { class: "note" }, "No fields.");
  const head = element("tr", {}, ...["Field (* required)", "Type", ""].map((text) => element("th", { scope: "col" }, text)));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

function example(api, schema, depth = 0) {
  const found = resolve(api, schema);
  if (found.const !== undefined) return found.const;
  if (found.enum) return found.enum[0];
  if (found.examples) return found.examples[0];
  if (found.anyOf) return example(api, found.anyOf.find((one) => one.type !== "null") ?? found.anyOf[0], depth);
  if (found.type === "object") {
    const names = Object.keys(found.properties ?? {}).filter((name) => (found.required ?? []).includes(name));
    return depth > 3 ? {} : Object.fromEntries(names.map((name) => [name, example(api, found.properties[name], depth + 1)]));
  }
  if (found.type === "array") return [];
  return { integer: found.minimum ?? 1, number: found.minimum ?? 0, boolean: true, null: null }[found.type] ?? "…";
}

function section(title, id, ...children) {
  document.getElementById("contents").append(element("a", { href: `#${id}` }, title));
  return element("section", { "aria-labelledby": id }, element("h2", { id }, title), ...children);
}

function drawOperation(api, path, method, operation) {
  const parts = [];
  for (const parameter of operation.parameters ?? []) {
    parts.push(element("p", {}, element("code", {}, parameter.name), ` in ${parameter.in}${parameter.required ? " *" : ""}`));
  }
  const body = operation.requestBody?.content?.["application/json"]?.schema;
  if (body) parts.push(element("h3", {}, operation.requestBody.required ? "Body" : "Body (may be absent)"), table(api, body));
  for (const [code, response] of Object.entries(operation.responses)) {
    const schema = response.content["application/json"].schema;
    parts.push(element("h3", {}, `${code}: ${response.description}`));
    if (code.startsWith("2")) parts.push(table(api, schema));
  }
  const data = body ? ` \\\n  -H 'Content-Type: application/json' -d '${JSON.stringify(example(api, body))}'` : "";
  const command = `curl -X ${method.toUpperCase()} '${location.origin}${path}' -H 'Authorization: Bearer YOUR_KEY'${data}`;
  return element("details", {},
    element("summary", {}, element("span", { class: "tag" }, method.toUpperCase()), element("code", {}, path), element("span", { class: "note" }, operation.summary)),
    element("div", {}, ...parts, element("pre", {}, command)));
}

function drawRest(api) {
  return api.tags.map(({ name }) => section(name, name.toLowerCase(), ...Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).filter(([, operation]) => operation.tags.includes(name)).map(([method, operation]) => drawOperation(api, path, method, operation)))));
}

function drawMessage(api, message) {
  return element("details", {},
    element("summary", {}, element("code", {}, message.name), element("span", { class: "note" }, message.summary)),
    element("div", {}, table(api, message.payload), element("pre", {}, JSON.stringify(example(api, message.payload), null, 1))));
}

function drawSockets(api) {
  return Object.entries(api.channels).map(([name, channel]) => {
    const parts = [element("p", {}, channel.description)];
    for (const [action, words] of [["send", "From the switch"], ["receive", "To the switch"]]) {
      const operation = api.operations[`${name}.${action}`];
      if (!operation) continue;
      parts.push(element("h3", {}, words), ...operation.messages.map((one) => drawMessage(api, resolve(api, one))));
    }
    return section(channel.title, name, ...parts);
  });
}

async function draw() {
  const main = document.getElementById("main");
  document.getElementById("raw").href = source;
  try {
    const response = await fetch(source);
    if (!response.ok) throw new Error(`${source}: ${response.status}`);
    const api = await response.json();
    document.getElementById("title").textContent = `${api.info.title} ${api.info.version}`;
    document.getElementById("about").textContent = api.info.description ?? api.info.summary ?? "";
    document.title = api.info.title;
    main.replaceChildren(...(sockets ? drawSockets(api) : drawRest(api)));
  } catch (error) {
    main.textContent = `The description cannot be shown: ${error.message}`;
  }
}

await draw();
