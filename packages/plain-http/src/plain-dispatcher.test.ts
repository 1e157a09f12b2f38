import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";

import { buildConnector, type Dispatcher } from "undici";

import { makePlainDispatcher, type PlainDispatcher } from "./plain-dispatcher.ts";

const mib = 1024 * 1024;
const sample = Buffer.from(Uint8Array.from({ length: 3 * mib + 7 }, (_, index) => (index * 31 + (index >> 12)) & 255));

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Answers whoever connects with these bytes, then ends the connection. */
async function serveRaw(t: TestContext, answer: (socket: Socket) => void): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => answer(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function dispatcherFor(t: TestContext, connections = 4): PlainDispatcher {
  const dispatcher = makePlainDispatcher({
    connect: (onread) => buildConnector({ onread } as buildConnector.BuildOptions),
    connections,
    headBytesMax: 16 * 1024,
  });
  t.after(() => dispatcher.destroy());
  return dispatcher;
}

interface Got {
  readonly status: number;
  readonly bytes: Buffer;
}

type OnData = (controller: Dispatcher.DispatchController, chunk: Buffer) => void;

function fetchFrom(dispatcher: PlainDispatcher, origin: string, onData: OnData = () => {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let status = 0;
    dispatcher.dispatch(
      { origin, path: "/", method: "GET", headers: { accept: "*/*" } },
      {
        onRequestStart() {},
        onResponseStart: (_, code) => void (status = code),
        onResponseData(controller, chunk) {
          chunks.push(Buffer.from(chunk));
          onData(controller, chunk);
        },
        onResponseEnd: () => resolve({ status, bytes: Buffer.concat(chunks) }),
        onResponseError: (_, error) => reject(error),
      },
    );
  });
}

test("a large body arrives byte for byte, whatever it is cut into on the way", async (t) => {
  const origin = await serve(t, (_, response) => {
    response.writeHead(200, { "content-length": sample.length });
    for (let at = 0; at < sample.length; at += 50_001) response.write(sample.subarray(at, at + 50_001));
    response.end();
  });
  const { status, bytes } = await fetchFrom(dispatcherFor(t), origin);
  assert.equal(status, 200);
  assert.ok(bytes.equals(sample));
});

test("bodies that are small, chunked or without a length arrive as well", async (t) => {
  const dispatcher = dispatcherFor(t);
  for (const headers of [{ "content-length": "5" }, {}, { connection: "close", "transfer-encoding": "identity" }]) {
    const origin = await serve(t, (_, response) => response.writeHead(200, headers).end("hello"));
    assert.equal((await fetchFrom(dispatcher, origin)).bytes.toString(), "hello");
  }
});

test("nothing arrives while the body is held back, and nothing is lost by it", async (t) => {
  const origin = await serve(t, (_, response) => response.end(sample));
  let held = false;
  const { bytes } = await fetchFrom(dispatcherFor(t), origin, (controller) => {
    assert.equal(held, false, "a chunk came while it was held back");
    held = true;
    controller.pause();
    setImmediate(() => {
      held = false;
      controller.resume();
    });
  });
  assert.ok(bytes.equals(sample));
});

test("a body that ends before its length is an error", async (t) => {
  const origin = await serveRaw(t, (socket) =>
    socket.end(
      Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${sample.length}\r\n\r\n`), sample.subarray(7)]),
    ),
  );
  await assert.rejects(fetchFrom(dispatcherFor(t), origin), { code: "ECONNRESET" });
});

test("bytes behind the declared end belong to nobody", async (t) => {
  const origin = await serveRaw(t, (socket) =>
    socket.end(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${2 * mib}\r\n\r\n`), sample])),
  );
  const { bytes } = await fetchFrom(dispatcherFor(t), origin);
  assert.ok(bytes.equals(sample.subarray(0, 2 * mib)));
});

test("what can't be parsed is undici's error, with what was received", async (t) => {
  const origin = await serveRaw(t, (socket) => socket.end("HTTP/1.1 429 Too\nmany\n\n"));
  await assert.rejects(fetchFrom(dispatcherFor(t), origin), { name: "HTTPParserError", data: /429/ });
});

test("a head above the bound is undici's error", async (t) => {
  const origin = await serve(t, (_, response) => response.writeHead(200, { "x-long": "x".repeat(20_000) }).end());
  await assert.rejects(fetchFrom(dispatcherFor(t), origin), { name: "HeadersOverflowError" });
});

test("an aborted request ends with the reason, and its connection with it", async (t) => {
  const gone = Promise.withResolvers<void>();
  const origin = await serve(t, (_, response) => {
    response.writeHead(200, { "content-length": sample.length }).write(sample.subarray(0, 2 * mib));
    response.once("close", gone.resolve);
  });
  const abort: OnData = (controller) => controller.abort(new Error("enough"));
  await assert.rejects(fetchFrom(dispatcherFor(t), origin, abort), /enough/);
  await gone.promise;
});

test("no more connections than allowed; the rest wait their turn, and closing ends them all", async (t) => {
  const open = new Set<() => void>();
  let begun = 0;
  const origin = await serve(t, (_, response) => {
    begun += 1;
    assert.ok(open.size < 2, "a third connection");
    const end = (): void => void response.end("x");
    open.add(end);
    response.once("close", () => open.delete(end));
    // Two at a time, and the last of seven alone.
    if (open.size === 2 || begun === 7) for (const each of open) each();
  });
  const dispatcher = dispatcherFor(t, 2);
  const answers = await Promise.all(Array.from({ length: 7 }, () => fetchFrom(dispatcher, origin)));
  assert.equal(answers.length, 7);

  const silent = await serve(t, () => {});
  const waiting = Array.from({ length: 3 }, () => assert.rejects(fetchFrom(dispatcher, silent), /closed/));
  await dispatcher.destroy();
  await Promise.all(waiting);
});

test("what can't be a request fails alone, whether its turn comes at once or behind another one", async (t) => {
  const origin = await serve(t, (_, response) => void response.end("whole"));
  const dispatcher = dispatcherFor(t, 1);
  const order = { origin, path: "/", method: "GET", headers: { authorization: "Bearer a\r\nb" } } as const;
  const refused = (): Promise<unknown> =>
    new Promise((_, reject) => {
      dispatcher.dispatch(order, { onRequestStart() {}, onResponseError: (_controller, error) => reject(error) });
    });
  const code = "ERR_INVALID_CHAR";
  await assert.rejects(refused(), { code });
  const first = fetchFrom(dispatcher, origin);
  const behind = assert.rejects(refused(), { code });
  const last = fetchFrom(dispatcher, origin);
  await behind;
  assert.equal((await first).bytes.toString(), "whole");
  assert.equal((await last).bytes.toString(), "whole");
});
