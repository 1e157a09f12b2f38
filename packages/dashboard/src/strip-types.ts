import { Worker } from "node:worker_threads";

/**
 * Leaves the types out of TypeScript, as Node does when it runs it, so that lines and columns stay. On a thread of its own, because the function that does
 * it is called experimental and says so on standard error; there, and only there, that is turned off.
 */
export function stripTypes(texts: readonly string[]): Promise<readonly string[]> {
  const source = `
    const { parentPort, workerData } = require("node:worker_threads");
    const { stripTypeScriptTypes } = require("node:module");
    parentPort.postMessage(workerData.map((text) => stripTypeScriptTypes(text)));`;
  const worker = new Worker(source, {
    eval: true,
    execArgv: ["--disable-warning=ExperimentalWarning"],
    workerData: texts,
  });
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}
