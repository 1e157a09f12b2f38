// The clients of the full forms, in a process of their own: it gets one order, and sends back one result. Pulls go on until a
// message comes.
import { once } from "node:events";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";

import { type ClientOrder, type ClientResult, emptyResult } from "./promises-clients.ts";
import { type Client, makeClient, pullImage } from "./promises-http.ts";

type Tally = { -readonly [Key in keyof ClientResult]: ClientResult[Key] };

const tally: Tally = { ...emptyResult };
const failed = (error: unknown): void => {
  const cause = error as Error & { code?: string };
  tally.failures = [...tally.failures, `${cause.code ?? ""} ${cause.message}`.trim()];
};

async function withClient(index: number, work: (client: Client) => Promise<void>): Promise<void> {
  const client = makeClient(index);
  try {
    await work(client);
  } finally {
    client.close();
  }
}

const times = (count: number, work: (index: number) => Promise<void>): Promise<unknown> =>
  Promise.all(Array.from({ length: count }, (_, index) => work(index)));

/** Each client pulls the image once, all at the same time. */
const crowd = ({ first, clients, image }: Extract<ClientOrder, { kind: "crowd" }>): Promise<unknown> =>
  times(clients, (index) =>
    withClient(first + index, async (client) => {
      await pullImage(client, image, first + index).then(() => void tally.right++, failed);
    }),
  );

/** Each client reads one blob, all at the same time. */
const blob = ({ first, clients, urls, digest }: Extract<ClientOrder, { kind: "blob" }>): Promise<unknown> =>
  times(clients, (index) =>
    withClient(first + index, async (client) => {
      try {
        const answer = await client.ask("GET", urls[index % urls.length] ?? "");
        if (answer.digest !== digest) throw new Error(`wrong bytes: ${answer.digest}`);
        tally.right++;
        tally.stalledMs = [...tally.stalledMs, answer.stalledMs];
      } catch (error) {
        failed(error);
      }
    }),
  );

/** Image after image, so many a second, or as many as so many clients can. */
async function pulls({ images, workers, perSec, base }: Extract<ClientOrder, { kind: "pulls" }>): Promise<void> {
  let isOver = false;
  void once(process, "message").then(() => (isOver = true));
  const clients = Array.from({ length: workers }, (_, index) => makeClient(index));
  const free = [...clients];
  let turn = 0;

  async function one(client: Client): Promise<void> {
    turn += 1;
    const image = { bases: [base], repository: images[turn % images.length] ?? "", tag: "1" };
    const at = turn;
    try {
      await pullImage(client, image, at).catch((error: unknown) => {
        tally.retried++;
        tally.firstFailures = [...tally.firstFailures, (error as Error).message];
        return pullImage(client, image, at);
      });
      tally.right++;
    } catch (error) {
      failed(error);
    }
  }

  async function worker(client: Client): Promise<void> {
    while (!isOver) await one(client);
  }

  /** Starts what is due; a client that is busy does not hold up the next one while there are free ones. */
  async function paced(rate: number): Promise<void> {
    const running = new Set<Promise<void>>();
    const startedMs = performance.now();
    while (!isOver) {
      for (let due = ((performance.now() - startedMs) / 1000) * rate; turn < due && free.length > 0;) {
        const client = free.pop() as Client;
        const run: Promise<void> = one(client).finally(() => (running.delete(run), free.push(client)));
        running.add(run);
      }
      await sleep(5);
    }
    await Promise.all(running);
  }

  const startedMs = performance.now();
  await (perSec === undefined ? Promise.all(clients.map(worker)) : paced(perSec));
  tally.perSec = tally.right / ((performance.now() - startedMs) / 1000);
  for (const client of clients) client.close();
}

const pauses = monitorEventLoopDelay();
pauses.enable();
const [order] = (await once(process, "message")) as [ClientOrder];
if (order.kind === "crowd") await crowd(order);
else if (order.kind === "blob") await blob(order);
else await pulls(order);
tally.pausedMs = pauses.max / 1e6;
process.send?.(tally, () => process.disconnect());
