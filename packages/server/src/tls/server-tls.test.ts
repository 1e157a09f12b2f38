import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";

import { testCertificates, virtualClock } from "@pullring/testkit";

import { openServerTls } from "./server-tls.ts";

const { ca, client, renewed, server: first } = testCertificates();
const request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

async function start(t: TestContext, withClients = false) {
  const dir = await mkdtemp(join(tmpdir(), "pullring-tls-"));
  t.after(() => rm(dir, { recursive: true }));
  const paths = { certFile: join(dir, "cert.pem"), keyFile: join(dir, "key.pem"), clientCaFile: join(dir, "ca.pem") };
  const { clientCaFile, ...pair } = paths;
  const files = withClients ? paths : pair;
  await writeFile(files.certFile, first.cert);
  await writeFile(files.keyFile, first.key);
  await writeFile(clientCaFile, ca);
  const clock = virtualClock();
  const lines: string[] = [];
  const log = {
    info: (_facts: object, message: string) => void lines.push(message),
    error: (_facts: object, message: string) => void lines.push(message),
  };
  const tls = openServerTls({ files, clock, log });
  t.after(() => tls.close());
  const server = createServer(tls.options, (_incoming, response) => response.end("hello"));
  tls.follow(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const port = (server.address() as AddressInfo).port;
  const dial = async (options: ConnectionOptions = {}): Promise<TLSSocket> => {
    const socket = connect({ port, host: "127.0.0.1", servername: "localhost", ca, ...options });
    await once(socket, "secureConnect");
    return socket;
  };
  return { clock, dial, files: paths, lines };
}

async function subject(dialled: Promise<TLSSocket>): Promise<unknown> {
  const socket = await dialled;
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return subject.CN;
}

async function answer(socket: TLSSocket): Promise<string> {
  socket.write(request);
  return (await text(socket)).replace(/^.*\r\n\r\n/s, "");
}

/** In TLS 1.3 a client learns after its handshake that it is refused, by an alert or only by the end. */
const answerOrNone = (dialled: Promise<TLSSocket>): Promise<string> => dialled.then(answer).catch(() => "");

test("a renewed certificate is in use within a minute, and open connections go on", async (t) => {
  const { clock, dial, files, lines } = await start(t);
  const before = await dial();
  assert.equal(before.getPeerCertificate().subject.CN, "localhost");
  await writeFile(files.certFile, renewed.cert);
  await writeFile(files.keyFile, renewed.key);
  await clock.advance(60_000);
  assert.equal(await subject(dial()), "localhost renewed");
  assert.match(await answer(before), /hello/);
  assert.deepEqual(lines, ["TLS files changed and are in use"]);
});

test("files that are swapped by a rename are seen too", async (t) => {
  const { clock, dial, files } = await start(t);
  for (const [path, pem] of [
    [files.certFile, renewed.cert],
    [files.keyFile, renewed.key],
  ] as const) {
    await writeFile(`${path}.new`, pem);
    await rename(`${path}.new`, path);
  }
  await clock.advance(60_000);
  assert.equal(await subject(dial()), "localhost renewed");
});

test("a certificate whose key has not come yet waits for it", async (t) => {
  const { clock, dial, files, lines } = await start(t);
  await writeFile(files.certFile, renewed.cert);
  await clock.advance(120_000);
  assert.equal(await subject(dial()), "localhost");
  assert.deepEqual(lines, ["the new TLS files are not usable; the certificate stays as it was"], "told once");
  await writeFile(files.keyFile, renewed.key);
  await clock.advance(60_000);
  assert.equal(await subject(dial()), "localhost renewed");
});

test("garbage and missing files leave the certificate as it was", async (t) => {
  const { clock, dial, files, lines } = await start(t);
  await writeFile(files.certFile, "garbage");
  await rm(files.keyFile);
  await clock.advance(60_000);
  assert.equal(await subject(dial()), "localhost");
  assert.equal(lines.length, 2);
});

test("files that are no pair stop the start", async (t) => {
  const { files } = await start(t);
  const open = (): unknown => openServerTls({ files, clock: virtualClock(), log: { info() {}, error() {} } });
  await writeFile(files.keyFile, renewed.key);
  assert.throws(open, /mismatch/);
  await writeFile(files.keyFile, first.key);
  await writeFile(files.clientCaFile, "garbage");
  assert.throws(open);
  await rm(files.certFile);
  assert.throws(open, { code: "ENOENT" });
});

test("with authorities for clients, only a client with a certificate of theirs gets an answer", async (t) => {
  const { dial } = await start(t, true);
  assert.match(await answer(await dial(client)), /hello/);
  assert.equal(await answerOrNone(dial()), "");
  assert.equal(await answerOrNone(dial({ maxVersion: "TLSv1.2" })), "");
});

test("other authorities for clients count from the next look on", async (t) => {
  const { clock, dial, files } = await start(t, true);
  await writeFile(files.clientCaFile, first.cert);
  await clock.advance(60_000);
  assert.equal(await answerOrNone(dial(client)), "");
});

test("TLS before 1.2 is not spoken", async (t) => {
  const { dial } = await start(t);
  const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
  await assert.rejects(dial(old), /protocol version/i);
  const spoken = await dial({ maxVersion: "TLSv1.2" });
  assert.equal(spoken.getProtocol(), "TLSv1.2");
  spoken.destroy();
});
