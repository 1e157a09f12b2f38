import type { ServerResponse } from "node:http";

/** How long a connection that was cut may take to close from the other side. */
const lingerMs = 5_000;

/**
 * Ends a response before its Content-Length, by FIN. Not `end()`: on a kept connection the next response's head would become part
 * of the body. Not `destroy()`: with unread input in the kernel that is an RST, after which containerd gives up instead of resuming.
 */
export function cutConnection(response: ServerResponse): void {
  const { socket } = response;
  if (!socket || socket.destroyed) return;
  socket.end();
  socket.resume();
  const destroy = setTimeout(() => socket.destroy(), lingerMs);
  socket.once("end", () => socket.destroy());
  socket.once("close", () => clearTimeout(destroy));
}
