import type { ServerResponse } from "node:http";

import type { Outlet } from "./call.ts";

export interface OpenOutlet extends Outlet {
  /** The clean end of the answer. */
  end(): void;
}

/** The answer's head is sent at once, so that whoever asked knows that it has begun. */
export function openOutlet(response: ServerResponse, type: string): OpenOutlet {
  const gone = new AbortController();
  response.once("close", () => gone.abort(new Error("whoever asked has left")));
  // A proxy that gathers what it passes on would show nothing until the end.
  response.writeHead(200, { "content-type": type, ...streamHeaders });
  response.flushHeaders();

  return {
    signal: gone.signal,
    get pendingBytes() {
      return response.writableLength;
    },
    write(text) {
      if (gone.signal.aborted || response.write(text)) return Promise.resolve();
      return new Promise((resolve) => {
        const done = (): void => {
          response.off("drain", done);
          response.off("close", done);
          resolve();
        };
        response.once("drain", done);
        response.once("close", done);
      });
    },
    cut: () => void response.destroy(),
    end: () => void response.end(),
  };
}

const streamHeaders = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "x-accel-buffering": "no",
} as const;
