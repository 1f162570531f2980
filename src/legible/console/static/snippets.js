// The client code for one call in seven languages. A body is plain JSON, in which a `Picture` stands for a file in base64.

export class Picture {
  constructor(name, file) {
    this.name = name;
    this.file = file;
  }
}

// The pictures that the question is about, so many of them.
export function shots(count) {
  if (count === 1) return [new Picture("image", "captcha.png")];
  return Array.from({ length: count }, (_, place) => new Picture(`image${place + 1}`, `captcha-${place + 1}.png`));
}

// The operation's template with the key, so many pictures and the options filled in. An object that is there for the
// options alone goes when none of them is filled.
function fill(template, key, options, count) {
  const own = Object.keys(template).filter((name) => template[name] === "@option");
  if (JSON.stringify(template).includes('"@piece"')) own.push("piece");
  const others = Object.entries(options).filter(([name]) => !own.includes(name));
  const filled = (value) => {
    if (value === "@key") return key;
    if (value === "@image") return shots(count)[0];
    if (value === "@images") return shots(count);
    if (Array.isArray(value)) return value.map(filled);
    if (value === null || typeof value !== "object") return value;
    const entries = Object.entries(value).flatMap(([name, inner]) => {
      if (name === "@options") return others;
      if (inner === "@option") return name in options ? [[name, options[name]]] : [];
      if (inner === "@piece") return options.piece ? [[name, options.piece]] : [];
      if (!others.length && JSON.stringify(inner) === '{"@options":null}') return [];
      return [[name, filled(inner)]];
    });
    return Object.fromEntries(entries);
  };
  const body = filled(template);
  return JSON.stringify(template).includes('"@options"') ? body : { ...body, ...Object.fromEntries(others) };
}

// The HTTP call, from which the code is written and the page itself calls.
export function request(base, operation, key, options, count = 1) {
  const headers = { "content-type": "application/json" };
  const header = operation.key_header;
  if (header) headers[header] = header === "authorization" ? `Bearer ${key}` : key;
  return { url: base + operation.path, headers, body: fill(operation.body, key, options, count) };
}

function pictures(value) {
  if (value instanceof Picture) return [value];
  return value !== null && typeof value === "object" ? Object.values(value).flatMap(pictures) : [];
}

const quote = (text) => JSON.stringify(text);
const single = (text) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;

// Writes a JSON-like value in a language: `words` has its spellings.
function literal(value, words, depth = 0) {
  const pad = "    ".repeat(depth + 1);
  const close = "    ".repeat(depth);
  if (value instanceof Picture) return words.picture(value);
  if (Array.isArray(value)) return words.list(value.map((inner) => literal(inner, words, depth + 1)));
  if (value === null) return words.none;
  if (typeof value === "object") {
    if (!Object.keys(value).length) return words.open + words.close;
    const pairs = Object.entries(value).map(([name, inner]) => pad + words.pair(name, literal(inner, words, depth + 1)));
    return `${words.open}\n${pairs.join(",\n")}${words.trailing ?? ""}\n${close}${words.close}`;
  }
  if (typeof value === "boolean") return words[value];
  return typeof value === "number" ? String(value) : words.text(value);
}

const JSON_WORDS = {
  open: "{", close: "}", none: "null", true: "true", false: "false", text: quote,
  pair: (name, value) => `${quote(name)}: ${value}`, list: (items) => `[${items.join(", ")}]`,
};

function curl({ url, headers, body }) {
  const json = literal(body, {
    ...JSON_WORDS,
    text: (text) => quote(text).replace(/[\\$`]/g, "\\$&"),
    picture: ({ file }) => `"$(base64 < ${file} | tr -d '\\n')"`,
  });
  const lines = Object.entries(headers).map(([name, value]) => `  -H '${name}: ${value.replaceAll("'", "'\\''")}' \\`);
  return [`curl ${url} \\`, ...lines, "  -d @- <<BODY", json, "BODY"].join("\n");
}

function python({ url, headers, body }) {
  const words = {
    ...JSON_WORDS, none: "None", true: "True", false: "False", trailing: ",", picture: ({ name }) => name,
  };
  const reads = pictures(body).flatMap(({ name, file }) => [
    `with open("${file}", "rb") as file:`, `    ${name} = base64.b64encode(file.read()).decode()`,
  ]);
  const own = Object.fromEntries(Object.entries(headers).filter(([name]) => name !== "content-type"));
  return [
    "# pip install requests", "import base64", "", "import requests", "", ...reads, "",
    "response = requests.post(", `    ${quote(url)},`,
    ...(Object.keys(own).length ? [`    headers=${literal(own, words, 1)},`] : []),
    `    json=${literal(body, words, 1)},`, "    timeout=30,", ")", "print(response.json())",
  ].join("\n");
}

function javascript({ url, headers, body }) {
  const name = (text) => (/^[a-z_$][\w$]*$/i.test(text) ? text : quote(text));
  const words = {
    ...JSON_WORDS, trailing: ",", pair: (key, value) => (key === value ? value : `${name(key)}: ${value}`),
    picture: (picture) => picture.name,
  };
  const reads = pictures(body).map(({ name: variable, file }) => `const ${variable} = await readFile("${file}", "base64");`);
  return [
    '// Node.js 18 or newer, saved as call.mjs', 'import { readFile } from "node:fs/promises";', "", ...reads, "",
    `const response = await fetch(${quote(url)}, {`, '    method: "POST",', `    headers: ${literal(headers, words, 1)},`,
    `    body: JSON.stringify(${literal(body, words, 1)}),`, "});", "console.log(await response.json());",
  ].join("\n");
}

function php({ url, headers, body }) {
  const words = {
    open: "[", close: "]", none: "null", true: "true", false: "false", text: single, trailing: ",",
    pair: (name, value) => `${single(name)} => ${value}`, list: (items) => `[${items.join(", ")}]`,
    picture: ({ name }) => `$${name}`,
  };
  const reads = pictures(body).map(({ name, file }) => `$${name} = base64_encode(file_get_contents('${file}'));`);
  const lines = Object.entries(headers).map(([name, value]) => `    ${single(`${name}: ${value}`)},`);
  return [
    "<?php", ...reads, `$curl = curl_init(${single(url)});`, "curl_setopt_array($curl, [", "    CURLOPT_POST => true,",
    "    CURLOPT_RETURNTRANSFER => true,", "    CURLOPT_HTTPHEADER => [", ...lines.map((line) => `    ${line}`), "    ],",
    `    CURLOPT_POSTFIELDS => json_encode(${literal(body, words, 1)}),`, "]);", "$reply = curl_exec($curl);",
    "if ($reply === false) {", "    exit(curl_error($curl));", "}", "echo $reply, PHP_EOL;",
  ].join("\n");
}

function go({ url, headers, body }) {
  const words = {
    ...JSON_WORDS, open: "map[string]any{", none: "nil", trailing: ",",
    list: (items) => `[]any{${items.join(", ")}}`, picture: ({ name }) => name,
  };
  const tabs = (text) => text.replace(/^( {4})+/gm, (spaces) => "\t".repeat(spaces.length / 4));
  const reads = pictures(body).map(({ name, file }) => `    ${name} := read("${file}")`);
  const sets = Object.entries(headers).map(([name, value]) => `    request.Header.Set(${quote(name)}, ${quote(value)})`);
  return tabs([
    "// go run call.go", "package main", "", "import (", ...["bytes", "encoding/base64", "encoding/json", "fmt", "io", "net/http", "os"].map((n) => `    "${n}"`), ")", "",
    "func check(err error) {", "    if err != nil {", "        panic(err)", "    }", "}", "",
    "func read(path string) string {", "    data, err := os.ReadFile(path)", "    check(err)",
    "    return base64.StdEncoding.EncodeToString(data)", "}", "", "func main() {", ...reads,
    `    body, err := json.Marshal(${literal(body, words, 1)})`, "    check(err)",
    `    request, err := http.NewRequest("POST", ${quote(url)}, bytes.NewReader(body))`, "    check(err)", ...sets,
    "    response, err := http.DefaultClient.Do(request)", "    check(err)", "    defer response.Body.Close()",
    "    reply, err := io.ReadAll(response.Body)", "    check(err)", "    fmt.Println(string(reply))", "}",
  ].join("\n"));
}

// The body as JSON text that stands in code: `escape` is the host's way with JSON's own characters, `picture` puts a variable in.
function jsonText(body, depth, escape, picture) {
  const marked = literal(body, { ...JSON_WORDS, picture: ({ name }) => `"\u0001${name}\u0001"` }, depth);
  return escape(marked).replace(/\u0001(\w+)\u0001/g, (_, name) => picture(name));
}

function java({ url, headers, body }) {
  const json = jsonText(body, 3, (text) => text.replaceAll("\\", "\\\\").replaceAll("%", "%%"), () => "%s");
  const names = pictures(body).map(({ name }) => name);
  const reads = pictures(body).map(({ name, file }) => `        String ${name} = read("${file}");`);
  const sets = Object.entries(headers).map(([name, value]) => `            .header(${quote(name)}, ${quote(value)})`);
  return [
    "// Java 17 or newer: java Call.java",
    "import java.net.URI;", "import java.net.http.HttpClient;", "import java.net.http.HttpRequest;", "import java.net.http.HttpResponse;",
    "import java.nio.file.Files;", "import java.nio.file.Path;", "import java.util.Base64;", "",
    "public class Call {", "    static String read(String path) throws Exception {",
    "        return Base64.getEncoder().encodeToString(Files.readAllBytes(Path.of(path)));", "    }", "",
    "    public static void main(String[] args) throws Exception {", ...reads,
    '        String body = """', `            ${json}""".formatted(${names.join(", ")});`,
    `        HttpRequest request = HttpRequest.newBuilder(URI.create(${quote(url)}))`, ...sets,
    "            .POST(HttpRequest.BodyPublishers.ofString(body))", "            .build();",
    "        HttpResponse<String> response = HttpClient.newHttpClient()",
    "            .send(request, HttpResponse.BodyHandlers.ofString());",
    "        System.out.println(response.body());", "    }", "}",
  ].join("\n");
}

function csharp({ url, headers, body }) {
  // Put together with +: Mono's compiler breaks on long texts with names in them ($@"").
  const json = jsonText(body, 2, (text) => text.replaceAll('"', '""'), (name) => `" + ${name} + @"`);
  const reads = pictures(body).map(({ name, file }) => `        string ${name} = Convert.ToBase64String(File.ReadAllBytes("${file}"));`);
  const sets = Object.entries(headers)
    .filter(([name]) => name !== "content-type")
    .map(([name, value]) => `            client.DefaultRequestHeaders.Add(${quote(name)}, ${quote(value)});`);
  return [
    "// .NET, .NET Framework or Mono",
    ...["System", "System.IO", "System.Net.Http", "System.Text", "System.Threading.Tasks"].map((name) => `using ${name};`), "",
    "public static class Call", "{", "    public static void Main() => RunAsync().GetAwaiter().GetResult();", "",
    "    static async Task RunAsync()", "    {", ...reads, `        string body = @"${json}";`,
    "        using (var client = new HttpClient())", "        {", ...sets,
    `            var response = await client.PostAsync(${quote(url)},`,
    '                new StringContent(body, Encoding.UTF8, "application/json"));',
    "            Console.WriteLine(await response.Content.ReadAsStringAsync());", "        }", "    }", "}",
  ].join("\n");
}

export const LANGUAGES = {
  curl: ["curl", curl], python: ["Python", python], javascript: ["JavaScript", javascript], php: ["PHP", php],
  go: ["Go", go], java: ["Java", java], csharp: ["C#", csharp],
};
