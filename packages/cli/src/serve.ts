import { ConfigError, StartError, startNode } from "@pullring/server";

/** Runs a node until it is told to stop. Resolves to the exit code. */
export async function serve(file: string | undefined): Promise<0 | 1 | 2> {
  // While it waits for Redis before it listens, or for a flush after that, nothing else keeps the process.
  const alive = setInterval(() => {}, 2 ** 30);
  try {
    const node = await startNode(file);
    const signal = await firstSignal();
    await node.stop(signal);
    return 0;
  } catch (error) {
    if (error instanceof ConfigError) return fail(error.message, 2);
    if (error instanceof StartError) return fail(`pullring can't start: ${error.message}`, 2);
    // EADDRINUSE and its like: what the operator has to know stands in the message.
    if (error instanceof Error && "syscall" in error)
      return fail(`pullring can't start: ${error.message}${whoHasIt(error)}`, 1);
    throw error;
  } finally {
    clearInterval(alive);
  }
}

const whoHasIt = (error: Error): string =>
  "code" in error && error.code === "EADDRINUSE" && "port" in error
    ? ` (who has it: ss -ltnp 'sport = :${String(error.port)}'; take another: listen, admin.listen, cluster.peer.listen)`
    : "";

function fail<T extends 1 | 2>(message: string, code: T): T {
  process.stderr.write(`${message}\n`);
  return code;
}

/** SIGTERM drains; a second signal ends the process at once, as it would without a handler. */
const firstSignal = (): Promise<string> =>
  new Promise((resolve) => {
    const onSignal = (signal: NodeJS.Signals): void => {
      for (const name of signals) process.off(name, onSignal);
      resolve(signal);
    };
    for (const name of signals) process.on(name, onSignal);
  });

const signals = ["SIGTERM", "SIGINT"] as const;
