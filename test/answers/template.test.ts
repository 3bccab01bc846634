// The template language of spec 5.9: what compiles, what is refused and in which words, and what is rendered.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AnswerSet, AnswerTemplate, compileAnswer, compileAnswers } from "../../src/answers/template.ts";
import { isKnownTo, VARIABLES } from "../../src/answers/variables.ts";

const compile = (status: string, text: string): AnswerTemplate => {
  const template = compileAnswer(status, text);
  assert.ok(template instanceof AnswerTemplate, JSON.stringify(template));
  return template;
};

const problem = (status: string, text: string): string => {
  const result = compileAnswer(status, text);
  assert.ok(!(result instanceof AnswerTemplate), "it compiles");
  return `${result.line}: ${result.reason}`;
};

function render(
  template: AnswerTemplate,
  texts: Readonly<Record<string, string>> = {},
  close = false,
  withBody = true,
): string {
  const target = new Uint8Array(100_000);
  const values = { text: (variable: number) => texts[VARIABLES[variable].name] ?? "" };
  const length = template.render(values, close, withBody, target, 7, target.length);
  assert.ok(length > 0);
  assert.equal(target[7 + length], 0, "nothing behind the end");
  return Buffer.from(target.subarray(7, 7 + length)).toString();
}

test("a template is sent byte for byte, with line ends as CRLF and a Content-Length", () => {
  const text = "HTTP/1.1 404 Nicht da\nX-Sozu-Stamp: a, b;c=%20\ncache-control:no-store\n\nLost?\n\nGrüße";
  const expected =
    "HTTP/1.1 404 Nicht da\r\nX-Sozu-Stamp: a, b;c=%20\r\ncache-control:no-store\r\nContent-Length: 16\r\n\r\n" +
    "Lost?\r\n\r\nGrüße";
  assert.equal(render(compile("404", text)), expected);
  assert.equal(render(compile("404", text.replaceAll("\n", "\r\n"))), expected);
});

test("a Content-Length keeps its place and gets the right value, after substitution", () => {
  const text = "HTTP/1.1 503 Out\r\nContent-Length: 3\r\nX: y\r\n\r\n[%CLUSTER_ID]";
  assert.equal(
    render(compile("503", text), { CLUSTER_ID: "shop" }),
    "HTTP/1.1 503 Out\r\nContent-Length: 6\r\nX: y\r\n\r\n[shop]",
  );
});

test("Connection: close is said when, and only when, the connection closes", () => {
  const closing = compile("503", "HTTP/1.1 503 Out\nconnection: foo, Close\nX: y\n\n");
  assert.equal(closing.closes, true);
  assert.equal(render(closing, {}, true), "HTTP/1.1 503 Out\r\nConnection: close\r\nX: y\r\nContent-Length: 0\r\n\r\n");
  const keeping = compile("503", "HTTP/1.1 503 Out\nConnection: keep-alive\nX: y\n\n");
  assert.equal(keeping.closes, false);
  assert.equal(render(keeping), "HTTP/1.1 503 Out\r\nX: y\r\nContent-Length: 0\r\n\r\n");
  const silent = compile("503", "HTTP/1.1 503 Out\nX: y\n\n");
  assert.equal(render(silent, {}, true), "HTTP/1.1 503 Out\r\nX: y\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
});

test("a field with an empty variable is left out, an empty variable in a body is nothing", () => {
  const limited = compile("429", "HTTP/1.1 429 Slow\nRetry-After: %RETRY_AFTER\n\n");
  assert.equal(render(limited), "HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n");
  assert.match(render(limited, { RETRY_AFTER: "60" }), /\r\nRetry-After: 60\r\n/);
  const denied = compile("401", "HTTP/1.1 401 Who\nWWW-Authenticate:   %WWW_AUTHENTICATE  \n\n[%ROUTE]");
  assert.equal(render(denied), "HTTP/1.1 401 Who\r\nContent-Length: 2\r\n\r\n[]");
  assert.match(render(denied, { WWW_AUTHENTICATE: 'Basic realm="x"' }), /\r\nWWW-Authenticate: Basic realm="x"\r\n/);
});

test("an answer to HEAD has the fields of the whole answer", () => {
  const text = render(compile("404", "HTTP/1.1 404 No\n\nfive!"), {}, false, false);
  assert.equal(text, "HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\n");
});

test("answers that cannot have a body have no Content-Length either", () => {
  assert.equal(render(compile("204", "HTTP/1.1 204 Gone\nContent-Length: 0\n\n")), "HTTP/1.1 204 Gone\r\n\r\n");
  assert.equal(problem("204", "HTTP/1.1 204 Gone\n\nx"), "3: an answer with status 204 cannot have a body");
});

test("values are escaped for the type of the body", () => {
  const nasty = `<b>"&'\\\`\${x}\r\né`;
  const of = (type: string): string => {
    const template = compile("503", `HTTP/1.1 503 Out\n${type}\n[%CLUSTER_ID]`);
    return render(template, { CLUSTER_ID: nasty }).split("\r\n\r\n")[1];
  };
  const html = "[&#60;b&#62;&#34;&#38;&#39;&#92;&#96;&#36;&#123;x&#125;??&#233;]";
  for (const type of ["", "Content-Type: text/html\n", "Content-Type: image/svg+xml\n", "Content-Type: text/jsonx\n"]) {
    assert.equal(of(type), html);
  }
  const json = of("content-type: application/problem+json; charset=utf-8\n").slice(1, -1);
  assert.equal(JSON.parse(`"${json}"`), nasty);
  assert.equal(of("Content-Type: TEXT/PLAIN;x=y\n"), `[<b>"&'\\\`\${x}???]`);
});

test("parser diagnostics are JSON values, null when there are none", () => {
  const template = compile("400", 'HTTP/1.1 400 Bad\n\n{"a": %SUCCESSFULLY_PARSED, "b": %INVALID, "c": %INVALID}');
  const body = render(template, { INVALID: '"\r\n<' }).split("\r\n\r\n")[1];
  assert.deepEqual(JSON.parse(body), { a: null, b: '"\r\n<', c: '"\r\n<' });
});

test("percent signs that are no variables stay", () => {
  const body = "100% 50%; %20 %C3%A9 %E2%82%AC %AB %a %% %RO";
  assert.ok(render(compile("404", `HTTP/1.1 404 No\n\n${body}`)).endsWith(`\r\n\r\n${body}`));
});

test("a variable ends where its name does", () => {
  const body = render(compile("404", "HTTP/1.1 404 No\n\n%ROUTEs%ROUTE%%ROUTE"), { ROUTE: "r" });
  assert.ok(body.endsWith("\r\n\r\nrsr%r"));
});

test("every status knows the variables of the table, where and as often as it says", () => {
  const statuses = ["301", "302", "308", "400", "401", "404", "405", "408", "413", "418", "421", "429", "431"];
  for (const status of [...statuses, "502", "503", "504", "507", ""]) {
    for (const variable of VARIABLES) {
      const known = isKnownTo(variable, status === "" ? null : Number(status));
      const accepts = (head: string, body: string): boolean =>
        compileAnswer(status, `HTTP/1.1 ${status || "302"} X\n${head}\n${body}`) instanceof AnswerTemplate;
      const name = `%${variable.name}`;
      assert.equal(accepts("", name), known && variable.inBody, `${name} in the body of ${status}`);
      assert.equal(accepts(`X: ${name}\n`, ""), known && variable.inHeader, `${name} in the head of ${status}`);
      if (!known) continue;
      const both = variable.inBody ? accepts("", `${name}${name}`) : accepts(`X: ${name}\nY: ${name}\n`, "");
      assert.equal(both, !variable.once, `${name} twice in ${status}`);
    }
  }
});

test("the template of a redirect may say any status", () => {
  const template = compile("", "HTTP/1.1 307 Over there\nLocation: %REDIRECT_LOCATION\n\n%ROUTE %CLUSTER_ID");
  assert.equal(template.status, 307);
  assert.match(
    render(template, { REDIRECT_LOCATION: "http://h/ä\r\nX: y" }),
    /\r\nLocation: http:\/\/h\/%C3%A4%0D%0AX:%20y\r\n/,
  );
  assert.equal(problem("", "HTTP/1.1 100 Continue\n\n"), "1: 100 is no status of an answer");
});

test("what is refused says what to write, and names the line", () => {
  const of404 = (rest: string): string => problem("404", `HTTP/1.1 404 No\n${rest}`);
  const cases: readonly (readonly [string, RegExp])[] = [
    [problem("404", "<h1>Lost</h1>"), /^1: the first line is no status line; write for example/],
    [problem("404", "HTTP/2 404 No\n\n"), /^1: the first line is no status line/],
    [problem("404", "HTTP/1.1 503 No\n\n"), /^1: the status line says 503, but this is the answer for 404$/],
    [problem("404", "HTTP/1.1 404 %ROUTE\n\n"), /^1: the status line cannot hold a variable$/],
    [problem("404", "HTTP/1.1 404 a\rb\n\n"), /^1: the status line holds a control character$/],
    [problem("5O3", ""), /^1: `5O3` is no status of an answer/],
    [problem("100", ""), /^1: `100` is no status/],
    [of404("X: y"), /^2: the empty line that ends the header fields is missing$/],
    [of404("X: y\n"), /^3: the empty line that ends the header fields is missing$/],
    [of404("<p>hello</p>\n\n"), /^2: `<p>hello<\/p>` is no header field .* an empty line goes between/],
    [of404("A: b\n folded\n\n"), /^3: ` folded` is no header field/],
    [of404("A : b\n\n"), /^2: `A : b` is no header field/],
    [of404("A: b\0c\n\n"), /^2: the value of A holds a control character$/],
    [of404("A: b\rc\n\n"), /^2: the value of A holds a control character$/],
    [of404("transfer-encoding: chunked\n\n"), /^2: Transfer-Encoding cannot be set: answers have a Content-Length$/],
    [of404("Content-Length: 1\ncontent-length: 1\n\nx"), /^3: a second Content-Length$/],
    [of404("Content-Type: a/b\nContent-Type: a/c\n\nx"), /^3: a second Content-Type$/],
    [of404("Content-Type: %ROUTE\n\nx"), /^2: Content-Type cannot hold a variable$/],
    [of404("X: a %ROUTE\n\nx"), /^2: the value of X must be exactly %ROUTE, without anything beside it$/],
    [of404("\na\n%REQUESTID"), /^4: there is no variable %REQUESTID: did you mean %REQUEST_ID\?$/],
    [of404("\n%HOSTNAME"), /^3: there is no variable %HOSTNAME: there are %ROUTE, %REQUEST_ID; a plain % in HTML/],
    [of404("\n%CLUSTER_ID"), /^3: the answer for 404 does not know %CLUSTER_ID$/],
    [problem("", "HTTP/1.1 301 X\n\n%DURATION"), /^3: the template of a redirect does not know %DURATION$/],
    [problem("401", "HTTP/1.1 401 X\n\n%WWW_AUTHENTICATE"), /^3: %WWW_AUTHENTICATE cannot stand in the body$/],
    [problem("400", "HTTP/1.1 400 X\nA: %MESSAGE\n\n"), /^2: %MESSAGE cannot stand in a header field$/],
    [problem("301", "HTTP/1.1 301 X\nLocation: %REDIRECT_LOCATION\n\n%REDIRECT_LOCATION"), /^4: .* only once$/],
    [problem("404", `HTTP/1.1 404 X\n\n${"ä".repeat(33_000)}`), /^1: the text is longer than 65536 bytes$/],
  ];
  for (const [found, expected] of cases) assert.match(found, expected);
});

test("the first broken template of a set refuses it, by status and line", () => {
  const good = "HTTP/1.1 404 X\n\n";
  assert.deepEqual(
    compileAnswers([
      ["404", good],
      ["503", "HTTP/1.1 503 X\n\n%ROUT"],
    ]),
    {
      status: "503",
      reason: "there is no variable %ROUT: did you mean %ROUTE?",
      line: 3,
    },
  );
  assert.deepEqual(compileAnswers([["", good]]), { status: "", reason: "a template needs a status", line: 1 });
  const set = compileAnswers([["404", good]]);
  assert.ok(set instanceof AnswerSet);
  assert.equal(set.get(404)?.status, 404);
  assert.equal(set.get(503), null);
});

test("an answer that does not fit is not begun", () => {
  const template = compile("404", "HTTP/1.1 404 No\nX: %ROUTE\n\nbody %ROUTE");
  const length = render(template, { ROUTE: "r" }).length;
  const values = { text: () => "r" };
  assert.equal(template.render(values, false, true, new Uint8Array(length), 0, length), length);
  const short = new Uint8Array(length - 1);
  assert.equal(template.render(values, false, true, short, 0, short.length), -1);
  assert.ok(short.every((byte) => byte === 0));
});

test("H1-59 whatever the values are, no line, field or markup is added and the length is right", () => {
  const nasty = fc.oneof(
    fc.string({ unit: "binary", maxLength: 700 }),
    fc.constantFrom("\r\nX: y\r\n\r\n", "</pre><script>alert(1)</script>", '"\\', "\ud800", "%ROUTE", "__proto__"),
  );
  const types = fc.constantFrom("", "Content-Type: application/json\n", "Content-Type: text/plain\n");
  fc.assert(
    fc.property(
      fc.constantFrom("301", "400", "401", "404", "429", "502", "504", "507", ""),
      types,
      fc.infiniteStream(nasty),
      fc.boolean(),
      (status, type, stream, close) => {
        const known = VARIABLES.filter((variable) => isKnownTo(variable, status === "" ? null : Number(status)));
        const fields = known.filter((variable) => variable.inHeader && !(variable.once && variable.inBody));
        const shown = known.filter((variable) => variable.inBody);
        const head = fields.map((variable) => `X-${variable.name}: %${variable.name}\n`).join("");
        const body = shown.map((variable) => `[%${variable.name}]`).join("\n");
        const template = compile(status, `HTTP/1.1 ${status || "302"} X\n${type}${head}\n${body}`);
        const values: Record<string, string> = {};
        for (const variable of VARIABLES) values[variable.name] = stream.next().value as string;
        const rendered = render(template, values, close);
        assert.ok(/^[\x20-\x7e\r\n]*$/.test(rendered), "printable ASCII only");
        const end = rendered.indexOf("\r\n\r\n");
        const lines = rendered.slice(0, end).split("\r\n");
        const filled = fields.filter((variable) => values[variable.name] !== "").length;
        assert.equal(lines.length, 2 + filled + (type === "" ? 0 : 1) + (close ? 1 : 0));
        const content = rendered.slice(end + 4);
        assert.ok(lines.includes(`Content-Length: ${content.length}`));
        assert.equal(content.split("\r\n").length, shown.length, "no line is added");
        if (!type.includes("plain")) assert.doesNotMatch(content, /[<>]/, "no markup");
      },
    ),
    { numRuns: 300 },
  );
});
