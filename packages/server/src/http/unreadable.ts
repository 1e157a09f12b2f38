import { STATUS_CODES, type ServerResponse } from "node:http";
import type { Socket } from "node:net";

import { errorBody } from "@pullring/oci";

/** A request of which the parser could make nothing, and what its client was told. */
export interface Unreadable {
  readonly status: number;
  readonly client: string;
  readonly error: Error;
}

const statusOf = (code: string | undefined): number => {
  if (code === "HPE_HEADER_OVERFLOW") return 431;
  return code === "ERR_HTTP_REQUEST_TIMEOUT" ? 408 : 400;
};

/**
 * Answers on a connection whose bytes are no request, and ends it. Undefined when there was nobody to answer, or when another answer is on
 * its way there: then the connection is just cut.
 */
export function answerUnreadable(error: Error & { code?: string }, socket: Socket): Unreadable | undefined {
  // Node's own mark for the answer that a connection is busy with.
  const { _httpMessage: busy } = socket as { _httpMessage?: ServerResponse | null };
  if (error.code === "ECONNRESET" || !socket.writable || busy?.headersSent) {
    socket.destroy();
    return undefined;
  }
  const status = statusOf(error.code);
  const reason = STATUS_CODES[status] ?? "Error";
  const body = errorBody("UNSUPPORTED", `${reason.toLowerCase()}: this is no request that can be read`);
  const head = [
    `HTTP/1.1 ${status} ${reason}`,
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Docker-Distribution-Api-Version: registry/2.0",
    "X-Content-Type-Options: nosniff",
    "Connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
  return { status, client: socket.remoteAddress ?? "", error };
}
