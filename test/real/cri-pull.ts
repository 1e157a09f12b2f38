import { connect as connectHttp2 } from "node:http2";
import { connect as connectSocket } from "node:net";

/** One field of a protobuf message whose value is bytes shorter than 128 (wire type 2). */
function field(number: number, value: Buffer): Buffer {
  if (value.length > 127) throw new Error("longer than one byte can tell");
  return Buffer.concat([Buffer.from([(number << 3) | 2, value.length]), value]);
}

/** A message as gRPC frames it: not compressed, its length in four bytes. */
function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/**
 * What the kubelet does to have an image: `runtime.v1.ImageService/PullImage` of the Container Runtime Interface, without credentials.
 * Rejects with the runtime's own message.
 */
export async function criPull(socket: string, image: string): Promise<void> {
  const session = connectHttp2("http://localhost", { createConnection: () => connectSocket(socket) });
  try {
    const stream = session.request({
      ":method": "POST",
      ":path": "/runtime.v1.ImageService/PullImage",
      "content-type": "application/grpc",
      te: "trailers",
    });
    // PullImageRequest { image = 1: ImageSpec { image = 1: string } }
    stream.end(framed(field(1, field(1, Buffer.from(image)))));
    const ended = Promise.withResolvers<Record<string, unknown>>();
    session.once("error", ended.reject);
    stream.once("error", ended.reject);
    // An answer without a body has its trailers in the head.
    stream.once("response", (head) => head["grpc-status"] !== undefined && ended.resolve(head));
    stream.once("trailers", (trailers) => ended.resolve(trailers));
    stream.setTimeout(30_000, () => ended.reject(new Error(`${image}: no answer from containerd`)));
    stream.resume();
    const { "grpc-status": status, "grpc-message": message } = await ended.promise;
    if (status !== "0") throw new Error(decodeURIComponent(String(message)));
  } finally {
    session.destroy();
  }
}
