import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { createServer, get, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import type { Body } from "@pullring/core";
import { eventually } from "@pullring/testkit";

import { makeByteMover } from "./byte-mover.ts";
import { cutConnection } from "./cut.ts";
import { loadSendfile, type Sendfile } from "./sendfile.ts";

const folder = mkdtempSync(join(tmpdir(), "pullring-mover-"));
const path = join(folder, "blob");
const bytes = Buffer.from(Array.from({ length: 3_000_017 }, (_, index) => (index * 31) % 253));
writeFileSync(path, bytes);
const fd = openSync(path, "r");
after(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

const fileBody = (): Body => ({
  size: bytes.length,
  next: (offset, end) => ({ fd, position: offset, length: end - offset }),
  close: () => {},
});

/** A server whose handler is the test's. */
async function serving<T>(
  handler: (response: ServerResponse) => void,
  run: (port: number, server: ReturnType<typeof createServer>) => Promise<T>,
): Promise<T> {
  const server = createServer((_request, response) => handler(response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await run((server.address() as AddressInfo).port, server);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

async function read(port: number): Promise<{ bytes: Buffer; complete: boolean; error?: string }> {
  const { promise, resolve } = Promise.withResolvers<IncomingMessage>();
  get({ port, host: "127.0.0.1", agent: false }, resolve);
  const response = await promise;
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
  } catch (error) {
    return { bytes: Buffer.concat(chunks), complete: false, error: (error as NodeJS.ErrnoException).code ?? "" };
  }
  return { bytes: Buffer.concat(chunks), complete: response.complete };
}

const ways: readonly [name: string, sendfile: Sendfile][] = [
  ["copies", () => undefined],
  ["sendfile", loadSendfile()],
];

test("on Linux a plain connection can be sent to by sendfile", async () => {
  const held = Promise.withResolvers<boolean>();
  await serving(
    (response) => {
      const out = response.socket ? loadSendfile()(response.socket) : undefined;
      out?.close();
      held.resolve(out !== undefined);
      response.end();
    },
    async (port) => {
      await read(port);
      assert.equal(await held.promise, process.platform === "linux");
    },
  );
});

for (const [name, sendfile] of ways) {
  const mover = makeByteMover(sendfile);

  test(`${name}: a span arrives whole, over a kept connection too`, async () => {
    const spans = [
      { start: 0, end: bytes.length },
      { start: 1_234_567, end: 2_345_678 },
      { start: bytes.length - 1, end: bytes.length },
    ];
    for (const span of spans) {
      const handler = async (response: ServerResponse): Promise<void> => {
        response.writeHead(200, { "content-length": span.end - span.start });
        assert.equal(await mover.move(response, fileBody(), span), span.end - span.start);
        response.end();
      };
      await serving(
        (response) => void handler(response),
        async (port) => {
          const answer = await read(port);
          assert.ok(answer.complete && answer.bytes.equals(bytes.subarray(span.start, span.end)));
        },
      );
    }
  });

  test(`${name}: a reader that is slow gets every byte, and holds one buffer only`, async () => {
    const handler = async (response: ServerResponse): Promise<void> => {
      response.writeHead(200, { "content-length": bytes.length });
      await mover.move(response, fileBody(), { start: 0, end: bytes.length });
      response.end();
    };
    await serving(
      (response) => void handler(response),
      async (port) => {
        const socket = connect({ port, host: "127.0.0.1" });
        const parts: Buffer[] = [];
        socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        for await (const chunk of socket) {
          parts.push(chunk as Buffer);
          if (parts.length % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        const text = Buffer.concat(parts);
        assert.ok(text.subarray(text.indexOf("\r\n\r\n") + 4).equals(bytes));
      },
    );
  });

  test(`${name}: a client that leaves ends the move, without an error`, async () => {
    const moved = Promise.withResolvers<number>();
    const endless: Body = { ...fileBody(), size: 1e12, next: () => ({ fd, position: 0, length: bytes.length }) };
    await serving(
      (response) => {
        response.writeHead(200, { "content-length": 1e12 });
        mover.move(response, endless, { start: 0, end: 1e12 }).then(moved.resolve, moved.reject);
      },
      async (port) => {
        const socket: Socket = connect(port, "127.0.0.1");
        socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        await new Promise((resolve) => socket.once("data", resolve));
        socket.destroy();
        assert.ok((await moved.promise) < 1e12);
      },
    );
  });

  test(`${name}: headers go out while the body still waits for its first byte`, async () => {
    const first = Promise.withResolvers<void>();
    const waiting: Body = {
      ...fileBody(),
      next: (offset, end) => first.promise.then(() => fileBody().next(offset, end)),
    };
    const handler = async (response: ServerResponse): Promise<void> => {
      response.writeHead(200, { "content-length": 10 });
      await mover.move(response, waiting, { start: 0, end: 10 });
      response.end();
    };
    await serving(
      (response) => void handler(response),
      async (port) => {
        const head = Promise.withResolvers<IncomingMessage>();
        get({ port, host: "127.0.0.1", agent: false }, head.resolve);
        const response = await head.promise;
        assert.equal(response.headers["content-length"], "10");
        first.resolve();
        const chunks: Buffer[] = [];
        for await (const chunk of response) chunks.push(chunk as Buffer);
        assert.ok(Buffer.concat(chunks).equals(bytes.subarray(0, 10)));
      },
    );
  });

  test(`${name}: a body that fails is cut by FIN before its end, after the bytes it had`, async () => {
    const failing: Body = {
      ...fileBody(),
      next: (offset) => {
        if (offset >= 1_000_000) return Promise.reject(new Error("the fill failed"));
        return { fd, position: offset, length: 1_000_000 - offset };
      },
    };
    let requests = 0;
    const handler = async (response: ServerResponse): Promise<void> => {
      if ((requests += 1) > 1) return;
      response.writeHead(200, { "content-length": bytes.length });
      await assert.rejects(mover.move(response, failing, { start: 0, end: bytes.length }), {
        message: "the fill failed",
      });
      cutConnection(response);
    };
    await serving(
      (response) => void handler(response),
      async (port) => {
        const socket = connect(port, "127.0.0.1");
        const parts: Buffer[] = [];
        let end = "";
        socket.on("data", (chunk) => parts.push(chunk));
        socket.on("error", (error) => (end = error.message));
        socket.on("end", () => (end ||= "FIN"));
        // Unread input in the server's kernel is what would turn a close into an RST.
        socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /pipelined HTTP/1.1\r\nHost: a\r\n\r\n");
        await eventually(() => end !== "", { timeoutMs: 10_000 });
        assert.equal(end, "FIN");
        const text = Buffer.concat(parts);
        assert.ok(text.subarray(text.indexOf("\r\n\r\n") + 4).equals(bytes.subarray(0, 1_000_000)));
        socket.destroy();
      },
    );
  });
}

test("sendfile: hundreds of readers that a fill wakes at the same moment all get their bytes", async () => {
  const mover = makeByteMover(loadSendfile());
  const gate = Promise.withResolvers<void>();
  const readers = 300;
  const span = { start: 0, end: 200_000 };
  let waiting = 0;
  const body: Body = {
    ...fileBody(),
    async next(offset, end) {
      waiting += 1;
      if (waiting === readers) gate.resolve();
      await gate.promise;
      return { fd, position: offset, length: end - offset };
    },
  };
  await serving(
    (response) => {
      response.writeHead(200, { "content-length": span.end });
      mover.move(response, body, span).then(
        () => response.end(),
        () => cutConnection(response),
      );
    },
    async (port) => {
      const answers = await Promise.all(Array.from({ length: readers }, () => read(port)));
      assert.ok(answers.every((answer) => answer.bytes.equals(bytes.subarray(0, span.end))));
    },
  );
});
