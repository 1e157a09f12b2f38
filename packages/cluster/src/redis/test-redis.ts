import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";

import { openRedis, type Redis } from "./redis.ts";
import { realClock } from "../peer/test-peers.ts";

/** RESP to send, or undefined for silence. */
export type Answering = (command: readonly string[], socket: Socket) => string | undefined;

/** A server that answers as a test says, and knows what it was asked. */
export interface ScriptedRedis {
  readonly port: number;
  /** Commands in the order of their coming, lower case; PING and INFO only where `answering` was asked for them. */
  readonly asked: string[][];
  /** Connections so far. */
  readonly connections: number;
  /** What answers from now on; what it leaves undefined is silence. */
  answering: Answering;
  /** What INFO says. */
  info: string;
  close(): Promise<void>;
}

export const ok = "+OK\r\n";
export const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
export const healthyInfo = "redis_version:8.2.2\r\nrole:master\r\nloading:0\r\nmaxmemory_policy:noeviction\r\n";

/** Commands as ioredis writes them: arrays of bulk strings. Gives what is left over. */
function parse(text: string, onCommand: (command: string[]) => void): string {
  let rest = text;
  for (;;) {
    const head = /^\*(\d+)\r\n/.exec(rest);
    if (!head) return rest;
    const words: string[] = [];
    let at = head[0].length;
    for (let index = 0; index < Number(head[1]); index += 1) {
      const size = /^\$(\d+)\r\n/.exec(rest.slice(at));
      if (!size) return rest;
      const from = at + size[0].length;
      at = from + Number(size[1]) + 2;
      if (at > rest.length) return rest;
      words.push(rest.slice(from, at - 2));
    }
    rest = rest.slice(at);
    onCommand(words);
  }
}

export async function startScriptedRedis(t: TestContext, answering: Answering): Promise<ScriptedRedis> {
  const open = new Set<Socket>();
  let connections = 0;

  function answer(command: string[], socket: Socket): void {
    const [name = "", ...rest] = command;
    const words = [name.toLowerCase(), ...rest];
    const own = scripted.answering(words, socket);
    if (words[0] === "info") socket.write(own ?? bulk(scripted.info));
    else if (words[0] === "ping") socket.write(own ?? "+PONG\r\n");
    else {
      scripted.asked.push(words);
      if (own !== undefined) socket.write(own);
    }
  }

  const server = createServer((socket) => {
    open.add(socket);
    connections += 1;
    let text = "";
    socket.on("data", (bytes) => {
      text = parse(text + bytes.toString("latin1"), (command) => answer(command, socket));
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => open.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const scripted: ScriptedRedis = {
    port: (server.address() as AddressInfo).port,
    asked: [],
    get connections() {
      return connections;
    },
    answering,
    info: healthyInfo,
    async close() {
      if (!server.listening) return;
      server.close();
      for (const socket of open) socket.destroy();
      await once(server, "close");
    },
  };
  t.after(() => scripted.close());
  return scripted;
}

export interface TestRedis {
  readonly redis: Redis;
  readonly logged: string[];
}

export function redisFor(t: TestContext, port: number, more: Partial<Parameters<typeof openRedis>[0]> = {}): TestRedis {
  const logged: string[] = [];
  const note = (facts: object, message: string): void => void logged.push(`${message} ${JSON.stringify(facts)}`);
  const log = { info: note, warn: note };
  const url = `redis://127.0.0.1:${port}`;
  const redis = openRedis({ url, prefix: "test", log, clock: realClock, random: () => 0.5, ...more });
  t.after(() => redis.close());
  return { redis, logged };
}
